"""What a training run left behind, read leniently: a run that failed lacks some of its files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.files import read_lines
from kedge.train.config import TrainConfig, load_config
from kedge.train.result import (
    CONFIG,
    METRICS,
    RUN,
    SCORES,
    SHAPES,
    WEIGHTS,
    RunResult,
    load_result,
)

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunRecords:
    """Settings and records of a run. ``metrics``: losses by step (null: not finite); ``shapes``:
    anchor shapes by step; ``scores``: by epoch; ``result``: run.json, None where there is none."""

    folder: Path
    config: TrainConfig
    metrics: Rows = field(default_factory=list)
    shapes: Rows = field(default_factory=list)
    scores: Rows = field(default_factory=list)
    result: RunResult | None = None

    @property
    def has_weights(self) -> bool:
        """Whether the trained detector can be loaded."""
        return self.result is not None and (self.folder / WEIGHTS).is_file()

    def loss_names(self) -> list[str]:
        """The losses that were written, the total aside."""
        names = {key for row in self.metrics for key in row if key.startswith("loss_")}
        return sorted(names)

    def series(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Steps (T,) and values (T,) of one column of metrics.jsonl; NaN where it is null."""
        rows = [row for row in self.metrics if name in row]
        values = [math.nan if row[name] is None else float(row[name]) for row in rows]
        return np.array([int(row["step"]) for row in rows], np.int64), np.array(values)

    def smooth(self, name: str) -> tuple[float, float]:
        """Median of the first and of the last tenth (at least three rows) of a finite series;
        NaN where there are fewer than six rows."""
        _, values = self.series(name)
        values = values[np.isfinite(values)]
        if len(values) < 6:
            return math.nan, math.nan
        part = max(3, len(values) // 10)
        return float(np.median(values[:part])), float(np.median(values[-part:]))

    def share(self, name: str, of: str, part: slice = slice(None)) -> float | None:
        """Sum of one column over the sum of another, over ``part`` of the rows that hold both; None
        where no row does (older runs) or the second is 0."""
        rows = [row for row in self.metrics if name in row and of in row][part]
        total = sum(float(row[of]) for row in rows)
        return sum(float(row[name]) for row in rows) / total if total > 0 else None

    @property
    def first_shapes(self) -> list[list[float]] | None:
        """Shapes (w, h) at the start."""
        return self._station("initial", 0)

    @property
    def last_shapes(self) -> list[list[float]] | None:
        """Shapes (w, h) that were saved, or the last ones written."""
        return self.result.shapes if self.result is not None else self._station("final", -1)

    def _station(self, name: str, row: int) -> list[list[float]] | None:
        if self.result is not None and any(s.name == name for s in self.result.stations):
            return self.result.station(name).shapes
        return [list(s) for s in self.shapes[row]["shapes"]] if self.shapes else None


def read_run(folder: Path | str) -> RunRecords:
    """The records of a run folder. ``ValueError`` where it holds no settings of a run."""
    place = Path(folder)
    if not (place / CONFIG).is_file():
        raise ValueError(f"{place}: holds no run ({CONFIG} is missing)")
    return RunRecords(
        folder=place,
        config=load_config(place / CONFIG),
        metrics=read_lines(place / METRICS),
        shapes=read_lines(place / SHAPES),
        scores=read_lines(place / SCORES),
        result=load_result(place / RUN) if (place / RUN).is_file() else None,
    )
