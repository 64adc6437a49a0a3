"""Design from statistics: shards of boxes counted one at a time, here or on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from kedge.design.command import fit_to
from kedge.design.measure import measure
from kedge.design.network import Recipe, as_seen
from kedge.design.points import Points
from kedge.design.report import DesignReport, Part
from kedge.design.settings import DesignSettings
from kedge.design.sketch import BINS_PER_OCTAVE, Sketch
from kedge.design.source import read_boxes
from kedge.design.streaming import sketch_of_table
from kedge.design.table import TABLES
from kedge.shards import Counter, each_shard, in_turn

_STREAMED = tuple(ending for ending in TABLES if ending != ".tsv")


class Shard(NamedTuple):
    """The sketch of a shard, what is to be said of how it was read, and where classes are told
    apart, their names by label."""

    sketch: Sketch
    said: tuple[str, ...] = ()
    classes: dict[int, str] | None = None


Count = Callable[[str], Shard]
By = Literal["class", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The sketch of all shards, the boxes of each, what was ``said`` of each, and what could not be
    counted; and the sketches of the ``parts`` that were to be told apart, by name."""

    sketch: Sketch
    boxes: dict[str, int]
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Sketch] = field(default_factory=dict)


def count_shard(
    shard: str, recipe: Recipe, split: str | None = None, by_class: bool = False
) -> Shard:
    """One shard's boxes on the network's input.

    A table (.csv, .parquet, .jsonl) is streamed; a data set, or an .npz, is read as ``kedge
    design`` does. Classes are named as the data set does, those of a table by their number. A pure
    function of the shard: who counts, and in which order, changes no bit.
    """
    if Path(shard).suffix in _STREAMED and not Path(shard).is_dir():
        sketch, said, known = sketch_of_table(shard, recipe, by_class), (), ()
    else:
        table = read_boxes(shard, split)
        sketch, said = as_seen(table, recipe).sketch(by_class), table.said
        known = table.classes
    if not by_class:
        return Shard(sketch, said)
    names = dict(enumerate(known)) | {-1: "no class"}
    return Shard(
        sketch, said, {label: names.get(label, f"category {label}") for label in sketch.labels}
    )


def count_shards(
    shards: Sequence[str],
    count: Count,
    counter: Counter = in_turn,
    progress: Callable[[str], None] | None = None,
    by: By | None = None,
) -> Counted:
    """Counts all shards and merges what they hold; one that fails is named, the rest goes on.

    ``by``: also what each shard ("source") holds, or each class: memory then grows with their
    number, by 2.5 MB at most for each of them in practice. "class" needs a ``count`` that tells
    them apart.
    """
    total, boxes, said, failed = Sketch.empty(), {}, {}, {}
    parts: dict[str, Sketch] = {}
    for shard, found in each_shard(shards, count, counter, progress, failed):
        total += found.sketch.without_labels()  # merged as they come: not all are held
        boxes[shard], said[shard] = round(found.sketch.count), found.said
        if by == "source":
            parts[shard] = found.sketch.without_labels()
        elif by == "class":
            if found.classes is None:
                raise ValueError('by="class": expected shards counted with by_class=True')
            for label, name in found.classes.items():
                part = found.sketch.of_label(label).without_labels()
                parts[name] = parts.get(name, Sketch.empty()) + part
    order = sorted(parts) if by == "class" else [shard for shard in shards if shard in parts]
    return Counted(
        sketch=total,
        boxes=boxes,
        said=said,
        failed=failed,
        parts={name: parts[name] for name in order},
    )


def design_statistics(counted: Counted, settings: DesignSettings) -> DesignReport:
    """The design for a sketch. There are no single boxes, so nothing is compared on held-out
    images, placed recall takes the boxes to stand evenly over the input, and there is no curve. How
    the shapes fit each of the ``parts`` is told, their places in cells apart.

    Errors: ``ValueError`` where no shard holds a usable box, and for ``k="auto"``.
    """
    if settings.k == "auto":
        raise ValueError("--k auto looks at single boxes: say a number, or leave out --on")
    if counted.sketch.count == 0:
        raise ValueError("no box with positive, finite sides: nothing to design")
    settings = replace(settings, compare=False, curve=False)
    passes = settings.resizing.recipe.passes
    usable = replace(counted.sketch, dropped=0)  # the report says it
    design = fit_to(usable, None, settings, settings.resizing.canvas)
    return DesignReport(
        design=design,
        verdict=None,
        curve=None,
        images=None,
        settings=settings,
        seen=None,
        passes=passes,
        dropped=counted.sketch.dropped // passes,
        shards=len(counted.boxes),
        parts=tuple(
            Part(
                name=name,
                boxes=sketch.count / passes,
                metrics=measure(Points.of_sketch(sketch, BINS_PER_OCTAVE), design.shapes),
            )
            for name, sketch in counted.parts.items()
        ),
    )
