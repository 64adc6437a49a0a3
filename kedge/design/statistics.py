"""Design from statistics: shards of boxes counted one at a time, here or on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from kedge.design.command import fit_to
from kedge.design.network import Recipe, as_seen
from kedge.design.report import DesignReport
from kedge.design.settings import DesignSettings
from kedge.design.sketch import Sketch
from kedge.design.source import read_boxes
from kedge.design.streaming import sketch_of_table
from kedge.design.table import TABLES
from kedge.shards import Counter, each_shard, in_turn

_STREAMED = tuple(ending for ending in TABLES if ending != ".tsv")


class Shard(NamedTuple):
    """The sketch of a shard, and what is to be said of how it was read."""

    sketch: Sketch
    said: tuple[str, ...] = ()


Count = Callable[[str], Shard]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The sketch of all shards, the boxes of each, what was ``said`` of each, and what could not be
    counted."""

    sketch: Sketch
    boxes: dict[str, int]
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def count_shard(shard: str, recipe: Recipe, split: str | None = None) -> Shard:
    """One shard's boxes on the network's input.

    A table (.csv, .parquet, .jsonl) is streamed; a data set, or an .npz, is read as ``kedge
    design`` does. A pure function of the shard: who counts, and in which order, changes no bit.
    """
    if Path(shard).suffix in _STREAMED and not Path(shard).is_dir():
        return Shard(sketch_of_table(shard, recipe))
    table = read_boxes(shard, split)
    return Shard(Sketch.of(as_seen(table, recipe).wh), table.said)


def count_shards(
    shards: Sequence[str],
    count: Count,
    counter: Counter = in_turn,
    progress: Callable[[str], None] | None = None,
) -> Counted:
    """Counts all shards and merges what they hold; one that fails is named, the rest goes on."""
    total, boxes, said, failed = Sketch.empty(), {}, {}, {}
    for shard, found in each_shard(shards, count, counter, progress, failed):
        total += found.sketch  # merged as they come: not all are held
        boxes[shard], said[shard] = round(found.sketch.count), found.said
    return Counted(sketch=total, boxes=boxes, said=said, failed=failed)


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
