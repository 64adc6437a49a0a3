"""Design from statistics: shards of boxes counted one at a time, here or on a cluster."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kedge.design.command import fit_to
from kedge.design.network import Recipe, as_seen
from kedge.design.report import DesignReport
from kedge.design.settings import DesignSettings
from kedge.design.sketch import Sketch
from kedge.design.source import read_boxes
from kedge.design.streaming import sketch_of_table
from kedge.design.table import TABLES

_STREAMED = tuple(ending for ending in TABLES if ending != ".tsv")

Count = Callable[[str], Sketch]
Counter = Callable[[Sequence[str], Count], Iterator[tuple[str, Sketch | Exception]]]
"""Applies a count to every shard; in whatever order, a shard with its sketch or its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The sketch of all shards, the boxes of each, and what could not be counted."""

    sketch: Sketch
    boxes: dict[str, int]
    failed: dict[str, str] = field(default_factory=dict)


def shards_of(source: str) -> list[str]:
    """The parts that ``source`` names: a glob of files or folders, a file, or a folder.

    An address with a scheme (``s3://bucket/part.parquet``) is taken as it is.
    Errors: ``ValueError`` where nothing is there.
    """
    if "://" in source:
        return [source]
    found = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else [source]
    if not found or (not Path(found[0]).exists() and source != "toy"):
        raise ValueError(f"{source}: no such file or folder")
    return found


def count_shard(shard: str, recipe: Recipe, split: str | None = None) -> Sketch:
    """The sketch of one shard's boxes on the network's input.

    A table (.csv, .parquet, .jsonl) is streamed; a data set, or an .npz, is read as ``kedge
    design`` does. A pure function of the shard: who counts, and in which order, changes no bit.
    """
    if Path(shard).suffix in _STREAMED and not Path(shard).is_dir():
        return sketch_of_table(shard, recipe)
    return Sketch.of(as_seen(read_boxes(shard, split), recipe).wh)


def in_turn(shards: Sequence[str], count: Count) -> Iterator[tuple[str, Sketch | Exception]]:
    """One shard after another, in this process."""
    for shard in shards:
        try:
            yield shard, count(shard)
        except (OSError, ValueError) as problem:
            yield shard, problem


def count_shards(
    shards: Sequence[str],
    count: Count,
    counter: Counter = in_turn,
    progress: Callable[[str], None] | None = None,
) -> Counted:
    """Counts all shards and merges what they hold; one that fails is named, the rest goes on."""
    total, boxes, failed = Sketch.empty(), {}, {}
    for shard, found in counter(shards, count):
        if isinstance(found, Exception):
            failed[shard] = str(found).removeprefix(f"{shard}: ")
        else:
            total += found
            boxes[shard] = round(found.count)
        if progress is not None:
            progress(f"{len(boxes) + len(failed):,} of {len(shards):,}: {shard}")
    return Counted(sketch=total, boxes=boxes, failed=failed)


def design_statistics(counted: Counted, settings: DesignSettings) -> DesignReport:
    """The design for a sketch. There are no single boxes, so nothing is compared on held-out
    images, placed recall takes the boxes to stand evenly over the input, and there is no curve.

    Errors: ``ValueError`` where no shard holds a usable box, and for ``k="auto"``.
    """
    if settings.k == "auto":
        raise ValueError("--k auto looks at single boxes: say a number, or leave out --on")
    if counted.sketch.count == 0:
        raise ValueError("no box with positive, finite sides: nothing to design")
    settings = replace(settings, compare=False, curve=False)
    passes = settings.resizing.recipe.passes
    usable = replace(counted.sketch, dropped=0)  # the report says it
    return DesignReport(
        design=fit_to(usable, None, settings, settings.resizing.canvas),
        verdict=None,
        curve=None,
        images=None,
        settings=settings,
        seen=None,
        passes=passes,
        dropped=counted.sketch.dropped // passes,
        shards=len(counted.boxes),
    )


def failures(failed: Iterable[tuple[str, str]]) -> list[str]:
    """A line for every shard that was not counted."""
    return [f"not counted: {shard}: {reason}" for shard, reason in failed]
