"""Tables of runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kedge.report.blocks import Table


def runs_table(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    metrics: Sequence[str] = ("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *,
    caption: str = "",
    factor: float = 100.0,
    digits: int = 1,
) -> Table:
    """Metrics by run, as mean ± standard deviation over seeds.

    `runs`: name -> one dictionary of metrics a seed (as ``coco_metrics`` returns them). Numbers are
    multiplied by `factor` (AP is usually read in percent). With a single seed there is no
    deviation; what is NaN or missing for all seeds is a dash. The deviation is that of a sample (n
    - 1).
    """
    several = any(len(seeds) > 1 for seeds in runs.values())
    rows: list[list[Any]] = []
    for name, seeds in runs.items():
        cells = [_cell([seed.get(m) for seed in seeds], factor, digits) for m in metrics]
        rows.append([name, *([len(seeds)] if several else []), *cells])
    columns = ["run", *(["seeds"] if several else []), *metrics]
    return Table(columns=columns, rows=rows, caption=caption, digits=digits, best=list(metrics))


def _cell(values: Sequence[Any], factor: float, digits: int) -> str | None:
    numbers = [factor * float(v) for v in values if v is not None and not math.isnan(v)]
    if not numbers:
        return None
    mean = f"{np.mean(numbers):.{digits}f}"
    return f"{mean} ± {np.std(numbers, ddof=1):.{digits}f}" if len(numbers) > 1 else mean
