"""Design from statistics: shards of boxes counted one at a time, here or on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from kedge.design.command import WITHOUT_CLASSES, fit_to
from kedge.design.measure import measure
from kedge.design.network import Recipe, as_seen
from kedge.design.points import Points
from kedge.design.report import DesignReport, Part
from kedge.design.settings import DesignSettings
from kedge.design.sketch import BINS_PER_OCTAVE, Sketch
from kedge.design.source import is_table, read_boxes
from kedge.design.streaming import sketch_of_table
from kedge.design.table import TABLES
from kedge.shards import Counter, in_turn, merge_shards

NO_CLASS = "no class"  # how boxes without one are called
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
    path = Path(shard)
    if is_table(path) and path.suffix in _STREAMED and not path.is_dir():
        if split is not None:
            raise ValueError(f"{shard}: is a single table without splits: leave out --split")
        sketch, said, known = sketch_of_table(shard, recipe, by_class), (), ()
    else:
        table = read_boxes(shard, split)
        sketch, said = as_seen(table, recipe).sketch(by_class), table.said
        known = table.classes
    if not by_class:
        return Shard(sketch, said)
    names = dict(enumerate(known)) | {-1: NO_CLASS}
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
    found, failed = merge_shards(
        shards, partial(_alone, count=count, by=by), _both, counter, progress
    )
    if found is None:
        return Counted(sketch=Sketch.empty(), boxes={}, failed=failed)
    if by == "class" and len(found.sketch):
        raise ValueError('by="class": expected shards counted with by_class=True')
    order = shards if by == "source" else sorted(found.parts)
    return replace(
        found,
        sketch=sum(found.parts.values(), found.sketch),
        boxes={shard: found.boxes[shard] for shard in shards if shard in found.boxes},
        said={shard: found.said[shard] for shard in shards if shard in found.said},
        failed=failed,
        parts={name: found.parts[name] for name in order if name in found.parts},
    )


def _alone(shard: str, count: Count, by: By | None) -> Counted:
    """One shard's boxes."""
    found = count(shard)
    rest, parts = _apart(shard, found, by)
    boxes = {shard: round(found.sketch.count)}
    return Counted(sketch=rest, boxes=boxes, said={shard: found.said}, parts=parts)


def _apart(shard: str, found: Shard, by: By | None) -> tuple[Sketch, dict[str, Sketch]]:
    """What is in no part, and the parts by name."""
    if by == "source":
        return Sketch.empty(), {shard: found.sketch.without_labels()}
    if by is None or not found.classes:
        return found.sketch.without_labels(), {}
    parts: dict[str, Sketch] = {}
    for label, name in found.classes.items():
        part = found.sketch.of_label(label).without_labels()
        parts[name] = parts.get(name, Sketch.empty()) + part
    return replace(Sketch.empty(), dropped=found.sketch.dropped), parts


def _both(one: Counted, more: Counted) -> Counted:
    """What two sets of shards hold."""
    parts = one.parts | more.parts
    for name in one.parts.keys() & more.parts.keys():
        parts[name] = one.parts[name] + more.parts[name]
    return Counted(
        sketch=one.sketch + more.sketch,
        boxes=one.boxes | more.boxes,
        said=one.said | more.said,
        parts=parts,
    )


def design_statistics(counted: Counted, settings: DesignSettings) -> DesignReport:
    """The design for a sketch. There are no single boxes, so nothing is compared on held-out
    images, placed recall takes the boxes to stand evenly over the input, and there is no curve. How
    the shapes fit each of the ``parts`` is told, their places in cells apart; where classes are to
    count the same, those are the classes.

    Errors: ``ValueError`` where no shard holds a usable box, and for ``k="auto"``.
    """
    if settings.k == "auto":
        raise ValueError("--k auto looks at single boxes: say a number, or leave out --on")
    if counted.sketch.count == 0:
        raise ValueError("no box with positive, finite sides: nothing to design")
    sketch = counted.sketch
    if settings.balance == "classes":
        if set(counted.parts) <= {NO_CLASS}:
            raise ValueError(f"{WITHOUT_CLASSES}: leave out --balance")
        sketch = _of_equal_weight(tuple(counted.parts.values()))
    settings = replace(settings, compare=False, curve=False)
    passes = settings.resizing.recipe.passes
    usable = replace(sketch, dropped=0)  # the report says it
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


def _of_equal_weight(parts: Sequence[Sketch]) -> Sketch:
    """All parts together, of as many boxes as they hold, each of the same share."""
    each = sum(part.count for part in parts) / max(len(parts), 1)
    return sum((part * (each / part.count) for part in parts if part.count), Sketch.empty())
