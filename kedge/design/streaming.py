"""The sketch of tables too large for memory: polars streams the rows, which are added up."""

from pathlib import Path
from typing import Any

import numpy as np

from kedge.design.network import Letterbox, Recipe, Resize, ShorterSide, Stretch
from kedge.design.sketch import Sketch, usable
from kedge.design.table import COLUMNS, scan
from kedge.design.tally import Tally

_ROWS = 1_000_000  # at a time
_ROWS_BY_CLASS = 5_000_000


def sketch_of_table(
    path: str | Path, recipe: Recipe | None = None, by_class: bool = False
) -> Sketch:
    """The sketch of the boxes of a ``.csv``, ``.parquet`` or ``.jsonl`` file, or a glob of them.

    Constant memory: rows are streamed, and what is kept of them are bins. With ``recipe`` boxes
    are scaled as its resizing does, once at every size of it, which needs the columns ``width`` and
    ``height`` of the image. ``by_class``: bins of every ``category_id`` (whole numbers from 0).
    Crowd rows (``iscrowd``) are left out; boxes without positive finite sides are counted in
    ``dropped``.

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
    label = pl.col("category_id").cast(pl.Int64).fill_null(-1) if by_class else None
    tally = Tally()
    for resize in (None,) if recipe is None else _plain(recipe):
        seen = frame if resize is None else _resized(frame, resize, pl)
        if _counted(seen, label, tally, pl) <= 1:
            raise ValueError(
                f"{path}: no side is longer than 1: these look like shares of the image's sides, "
                "and a stream reads pixels; leave out --on, or write pixels"
            )
    return tally.sketch()


def _counted(frame: Any, label: Any | None, tally: Tally, pl: Any) -> float:
    """One pass over sides ``w`` and ``h``; the ``longest`` of the usable, infinite without; once
    it is above 1 no longer one is looked for."""
    w, h = (pl.col(side).cast(pl.Float32).fill_null(0) for side in ("w", "h"))
    frame = frame.select(w, h, "longest", *([] if label is None else [label.alias("label")]))
    longest = 0.0
    size = _ROWS if label is None else _ROWS_BY_CLASS
    for rows in frame.collect_batches(chunk_size=size, maintain_order=False):
        wide, high, side, *labels = (column.to_numpy() for column in rows)
        tally.add(wide, high, *labels)
        if longest <= 1:
            longest = max(longest, side[usable(wide, high)].max(initial=0))
    return longest or np.inf


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
