"""The sketch of tables too large for memory, counted by polars in one streaming pass."""

from pathlib import Path
from typing import Any

import numpy as np

from kedge.design.sketch import BINS_PER_OCTAVE, LOWEST, SPAN, Sketch
from kedge.design.table import COLUMNS, scan


def sketch_of_table(path: str | Path, long_side: int | None = None) -> Sketch:
    """The sketch of the boxes of a ``.csv``, ``.parquet`` or ``.jsonl`` file, or a glob of them.

    Constant memory: polars streams the rows and adds up bins. With ``long_side`` boxes are scaled
    as by letterbox resizing, which needs the columns ``width`` and ``height`` of the image. Crowd
    rows (``iscrowd``) are left out; boxes without positive finite sides are counted in
    ``dropped``.
    """
    import polars as pl

    frame = scan(path)
    names = set(frame.collect_schema().names())
    frame = _sizes(frame, names, path, pl)
    if "iscrowd" in names:
        frame = frame.filter(~pl.col("iscrowd").cast(pl.Boolean))
    if long_side is not None:
        factor = long_side / pl.max_horizontal("width", "height")
        frame = frame.with_columns(pl.col("w") * factor, pl.col("h") * factor)
    good = pl.all_horizontal(
        (pl.col(side).is_finite() & (pl.col(side) > 0)).fill_null(False) for side in ("w", "h")
    )
    x, y = (((pl.col(side).log(2) - LOWEST) * BINS_PER_OCTAVE).floor() for side in ("w", "h"))
    key = x.clip(0, SPAN - 1).cast(pl.Int64) * SPAN + y.clip(0, SPAN - 1).cast(pl.Int64)
    sums = (
        frame.with_columns(key=pl.when(good).then(key).otherwise(-1))
        .group_by("key")
        .agg(
            pl.len().cast(pl.Float64).alias("count"),
            pl.col("w").sum(),
            pl.col("h").sum(),
            pl.col("w").log().sum().alias("log_w"),
            pl.col("h").log().sum().alias("log_h"),
        )
        .sort("key")
        .collect(engine="streaming")
    )
    keys = sums["key"].to_numpy()
    values = sums.drop("key").to_numpy()
    bad = keys < 0
    return Sketch(keys[~bad], np.ascontiguousarray(values[~bad]), int(values[bad, 0].sum()))


def _sizes(frame: Any, names: set[str], path: str | Path, pl: Any) -> Any:
    if {"w", "h"} <= names:
        return frame.with_columns(pl.col("w", "h").cast(pl.Float64))
    if {"x1", "y1", "x2", "y2"} <= names:
        wide = (pl.col("x2") - pl.col("x1")).cast(pl.Float64)
        high = (pl.col("y2") - pl.col("y1")).cast(pl.Float64)
        return frame.with_columns(w=wide, h=high)
    raise ValueError(f"{path}: has neither w, h nor x1, y1, x2, y2; expected {COLUMNS}")
