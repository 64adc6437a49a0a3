"""The sketch of tables too large for memory, counted by polars in one streaming pass."""

from pathlib import Path
from typing import Any

import numpy as np

from kedge.design.network import Letterbox, Recipe, Resize, ShorterSide, Stretch
from kedge.design.sketch import BINS_PER_OCTAVE, FIELDS, LOG_STEP, LOWEST, SPAN, Sketch
from kedge.design.table import COLUMNS, scan


def sketch_of_table(
    path: str | Path, recipe: Recipe | None = None, by_class: bool = False
) -> Sketch:
    """The sketch of the boxes of a ``.csv``, ``.parquet`` or ``.jsonl`` file, or a glob of them.

    Constant memory: polars streams the rows and adds up bins. With ``recipe`` boxes are scaled as
    its resizing does, once at every size of it, which needs the columns ``width`` and ``height`` of
    the image. ``by_class``: bins of every ``category_id`` (whole numbers from 0). Crowd rows
    (``iscrowd``) are left out; boxes without positive finite sides are counted in ``dropped``.

    Errors: ``ValueError`` that names the file and the columns it lacks, where all sides are 1 or
    less (shares of the image's, not pixels), and for a recipe that scales or crops at random.
    """
    import polars as pl

    try:
        return _sketch(path, recipe, by_class, pl)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {error}") from None


def _sketch(path: str | Path, recipe: Recipe | None, by_class: bool, pl: Any) -> Sketch:
    frame = scan(path)
    names = set(frame.collect_schema().names())
    frame = _sizes(frame, names, path, pl)
    if "iscrowd" in names:
        frame = frame.filter(~pl.col("iscrowd").cast(pl.Boolean).fill_null(False))
    missing = [name for name in ("width", "height") if recipe is not None and name not in names]
    missing += ["category_id"] if by_class and "category_id" not in names else []
    if missing:
        raise ValueError(f"{path}: has no column {', '.join(missing)}")
    frame = frame.with_columns(longest=pl.max_horizontal("w", "h"))  # as the table has it
    label = pl.col("category_id").cast(pl.Int64).fill_null(-1) + 1 if by_class else pl.lit(0)
    sketch = Sketch.empty()
    for resize in (None,) if recipe is None else _plain(recipe):
        seen = frame if resize is None else _resized(frame, resize, pl)
        part, longest = _counted(seen, label, pl)
        if longest <= 1:
            raise ValueError(
                f"{path}: no side is longer than 1: these look like shares of the image's sides, "
                "and a stream reads pixels; leave out --on, or write pixels"
            )
        sketch += part
    return sketch


def _counted(frame: Any, label: Any, pl: Any) -> tuple[Sketch, float]:
    """One pass over sides ``w`` and ``h``; and the ``longest`` of the usable, infinite without."""
    w, h = (pl.col(side).cast(pl.Float32).cast(pl.Float64) for side in ("w", "h"))
    frame = frame.select(w, h, "longest", label=label)
    good = pl.all_horizontal(
        (pl.col(side).is_finite() & (pl.col(side) > 0)).fill_null(False) for side in ("w", "h")
    )
    x, y = (((pl.col(side).log(2) - LOWEST) * BINS_PER_OCTAVE).floor() for side in ("w", "h"))
    key = x.clip(0, SPAN - 1).cast(pl.Int64) * SPAN + y.clip(0, SPAN - 1).cast(pl.Int64)
    key = pl.col("label") * SPAN**2 + key
    log_w, log_h = (((pl.col(side).log(2) / LOG_STEP).round() * LOG_STEP).sum() for side in "wh")
    sums = (
        frame.with_columns(key=pl.when(good).then(key).otherwise(-1))
        .group_by("key")
        .agg(
            pl.len().cast(pl.Float64).alias("count"),
            pl.col("w").sum(),
            pl.col("h").sum(),
            pl.col("longest").max(),
            log_w.alias("log_w"),
            log_h.alias("log_h"),
        )
        .sort("key")
        .collect(engine="streaming")
    )
    keys = sums["key"].to_numpy()
    values = sums.select(FIELDS).to_numpy()
    bad = keys < 0
    longest = float(sums["longest"].to_numpy()[~bad].max(initial=0)) or np.inf
    sketch = Sketch(keys[~bad], np.ascontiguousarray(values[~bad]), int(values[bad, 0].sum()))
    return sketch, longest


def _plain(recipe: Recipe) -> tuple[Resize, ...]:
    """The resizes of a recipe that does nothing else."""
    if recipe.scale != (1.0, 1.0) or recipe.crop is not None:
        raise ValueError("recipe: a stream of boxes can be resized, not scaled or cropped")
    return tuple(recipe.resizes[i % len(recipe.resizes)] for i in range(recipe.passes))


def _resized(frame: Any, resize: Resize, pl: Any) -> Any:
    """Sides on the network's input, whose image has whole pixels, as ``as_seen`` has them."""
    width, height = (pl.col(side).cast(pl.Float64) for side in ("width", "height"))
    match resize:
        case Stretch(size=(high, wide)):
            to_width, to_height = wide / width, high / height
        case Letterbox(size=(high, wide)):
            rate = pl.min_horizontal(high / height, wide / width)
            to_width, to_height = _whole(width, rate), _whole(height, rate)
        case ShorterSide(side=side, longest=longest):
            short, long = pl.min_horizontal(width, height), pl.max_horizontal(width, height)
            rate = pl.min_horizontal(side / short, longest / long)
            to_width, to_height = _whole(width, rate), _whole(height, rate)
        case _:
            raise ValueError(f"recipe: {resize!r} cannot be applied to a stream of boxes")
    return frame.with_columns(pl.col("w") * to_width, pl.col("h") * to_height)


def _whole(side: Any, rate: Any) -> Any:
    """The factor on an image's side that makes it a whole number of pixels."""
    return (side * rate).round().clip(1) / side


def _sizes(frame: Any, names: set[str], path: str | Path, pl: Any) -> Any:
    if {"w", "h"} <= names:
        return frame.with_columns(pl.col("w", "h").cast(pl.Float64))
    if {"x1", "y1", "x2", "y2"} <= names:
        wide = (pl.col("x2") - pl.col("x1")).cast(pl.Float64)
        high = (pl.col("y2") - pl.col("y1")).cast(pl.Float64)
        return frame.with_columns(w=wide, h=high)
    raise ValueError(f"{path}: has neither w, h nor x1, y1, x2, y2; expected {COLUMNS}")
