"""More objects in one cell than a detector has anchors there."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, Severity, count, percent
from kedge.doctor.objects import Objects, most_affected

_STRIDES = (8.0, 16.0, 32.0)
_DEFAULT_ANCHORS = 9
_ENOUGH = 0.001  # of the objects, without an anchor because they share a cell: worth a warning


def check(context: Context) -> list[Finding]:
    """Cells of the finest level that hold more object centres than anchor shapes."""
    seen = context.seen.fair
    if len(seen) == 0:
        return []
    setup = context.setup
    strides = _STRIDES if setup is None else setup.strides
    anchors = _DEFAULT_ANCHORS if setup is None else setup.grid.shapes_per_level[0]
    finest = min(strides)
    owner, number = cells(seen, finest)
    crowd = number[owner]
    surplus = float(np.maximum(number - anchors, 0).sum() / len(seen))
    shared = float((crowd > 1).mean())
    if surplus == 0 and shared < 0.1:
        return []
    table: dict[str, Any] = {}
    for stride in strides:
        part_owner, part = cells(seen, stride)
        table[f"{stride:g}"] = {
            "most_in_a_cell": int(part.max()),
            "sharing_a_cell": float((part[part_owner] > 1).mean()),
        }
    half_owner, half = cells(seen, finest / 2)
    after = float((half[half_owner] > 1).mean())
    rest = float(np.maximum(half - anchors, 0).sum() / len(seen))
    severity, cause = _costs(context, finest, anchors, surplus)
    assumed = "" if setup is not None else " (assumed: give --detector or --config)"
    return [
        Finding(
            check="crowded_cells",
            severity=severity,
            symptom=f"{percent(shared)} of the objects share a cell of stride {finest:g}{assumed} "
            f"with another; up to {int(number.max())} stand in one",
            evidence={
                "finest_stride": finest,
                "anchors_per_cell": anchors,
                "objects_beyond_the_anchors": surplus,
                "sharing_a_cell": shared,
                "by_stride": table,
                "worst_images": most_affected(context.names, seen.image[crowd > 1]),
            },
            cause=cause,
            cure=f"A finer level (stride {finest / 2:g}), or, to about the same effect, twice the "
            f"image size: --image-size {2 * context.image_size[0]} {2 * context.image_size[1]}",
            predicted={
                "text": f"{percent(shared)} -> {percent(after)} share a cell"
                + (f"; beyond the anchors {percent(surplus)} -> {percent(rest)}" * bool(surplus)),
                "sharing_before": shared,
                "sharing_after": after,
                "beyond_before": surplus,
                "beyond_after": rest,
            },
        )
    ]


def _costs(context: Context, finest: float, anchors: int, surplus: float) -> tuple[Severity, str]:
    """How much sharing a cell costs, and why: by count, or by what the rule does about it."""
    if context.setup is None:
        text = f"A cell has {count(anchors, 'anchor')}."
        text += f" {percent(surplus)} of the objects are beyond that." if surplus else ""
        return ("warning" if surplus > _ENOUGH else "note"), text
    shared, lost = _answered(context, finest)
    if not lost:
        return "note", "The rule finds an anchor for every one of them all the same."
    of = count(shared, "object")
    return (
        "warning" if lost > _ENOUGH * len(context.fair) else "note",
        f"Of these {of} the rule leaves {lost:,} without an anchor: see no_positive.",
    )


def _answered(context: Context, finest: float) -> tuple[int, int]:
    """Objects of the sample that share a cell, and those of them without an anchor."""
    if len(context.fair) == 0:
        return 0, 0
    owner, number = cells(context.fair, finest)
    shared = number[owner] > 1
    return int(shared.sum()), int((context.answers.positives[shared] == 0).sum())


def cells(objects: Objects, stride: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cell (n,) that holds each object's centre, numbered, and the objects (c,) of each."""
    place = np.floor(objects.centres / stride).astype(np.int64)
    span = int(np.ceil(objects.size.max() / stride)) + 2
    key = (objects.image * span + place[:, 1].clip(0, span - 1)) * span
    key += place[:, 0].clip(0, span - 1)
    _, owner, number = np.unique(key, return_inverse=True, return_counts=True)
    return owner.reshape(-1), number
