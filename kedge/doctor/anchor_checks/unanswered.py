"""Objects that no anchor answers for, and why not."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.anchors.grid import Grid
from kedge.assign.max_iou import MaxIoU
from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage
from kedge.doctor.answers import answer
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, Severity, percent
from kedge.doctor.objects import BANDS, as_seen, band_of, most_affected
from kedge.doctor.setup import Setup

_CLASSES = 20


def check(context: Context) -> list[Finding]:
    """Objects without any positive; and objects whose best anchor falls short of the threshold."""
    if context.setup is None or len(context.fair) == 0:
        return []
    found = [_without(context), _short(context)]
    return [finding for finding in found if finding is not None]


def _without(context: Context) -> Finding | None:
    """No positive at all: the detector never learns these objects."""
    answers, setup = context.answers, context.setup
    assert setup is not None
    lost = answers.positives == 0
    share = float(lost.mean())
    if share == 0:
        return None
    taken = lost & (answers.best >= setup.threshold)
    touched = lost & ~taken & (answers.best > 0)
    rivals = (
        "Another object holds their best anchors"
        if setup.thresholded
        else "Another object with its centre in the same cell wants the same anchor, and the last "
        "one gets it"
    )
    untouched = int((lost & (answers.best == 0)).sum())
    cause = f"{rivals}: {int((taken | touched).sum()):,} objects."
    cause += f" {untouched:,} touch no anchor at all." if untouched else ""
    cure, predicted = _cure(context, lost)
    return Finding(
        check="no_positive",
        severity=_severity(share, 0.02, 0.1),
        symptom=f"{percent(share)} of the objects ({int(lost.sum()):,}) have no positive anchor: "
        "the detector never learns them",
        evidence={
            **context.note_of_sample(),
            "share": share,
            "objects_without": int(lost.sum()),
            "by_class": by_class(context, lost),
            "by_size": by_band(context, lost),
            "worst_images": most_affected(context.sample_names, context.fair.image[lost]),
        },
        cause=cause,
        cure=cure,
        predicted=predicted,
    )


def _cure(context: Context, lost: NDArray[np.bool_]) -> tuple[str, dict[str, Any]]:
    """Finer cells; or, where that saves no more, the low-quality match that serves the rescuer."""
    setup = context.setup
    assert setup is not None
    before = float(lost.mean())
    size = (2 * setup.image_size[0], 2 * setup.image_size[1])
    larger = _at_twice_the_size(context, size)
    if isinstance(setup.assign, MaxIoU) and setup.assign.low_quality == "own":
        rescue = replace(setup, assign=replace(setup.assign, low_quality="rescuer"))
        after = float((answer(rescue, context.sample).positives == 0).mean())
        if after <= larger:
            text = f"a rescued anchor then serves the object that rescued it: {percent(before)} -> "
            text += f"{percent(after)} without a positive"
            return 'MaxIoU(low_quality="rescuer"), as MMDetection does', {
                "text": text,
                "without_before": before,
                "without_after": after,
            }
    text = f"at {size[0]} x {size[1]}, with anchors twice as large: {percent(before)} -> "
    return (
        f"Finer cells: --image-size {size[0]} {size[1]}, or a level of a smaller stride than the "
        "objects' distance.",
        {
            "text": f"{text}{percent(larger)} without a positive",
            "without_before": before,
            "without_after": larger,
        },
    )


def _at_twice_the_size(context: Context, size: tuple[int, int]) -> float:
    setup = context.setup
    assert setup is not None
    finer = replace(setup, grid=Grid(size, setup.grid.levels, 2 * setup.grid.shapes))
    part = as_seen(context.objects, size).of_images(context.chosen)
    return float((answer(finer, part).positives == 0).mean())


def _short(context: Context) -> Finding | None:
    """Below the threshold: only a rescued anchor (low-quality match) or a poor fit answers."""
    answers, setup = context.answers, context.setup
    assert setup is not None
    short = ~answers.covered(setup.threshold)
    share = float(short.mean())
    if share < 0.002:
        return None
    predicted, why = predicted_coverage(context)
    gains = predicted is not None and (
        predicted["covered_after"] - predicted["covered_before"] > 0.05 * share
    )
    good = context.designed if gains else None
    reasons = _reasons(context, short)
    return Finding(
        check="poorly_covered",
        severity=_severity(share, 0.05, 0.3)
        if setup.thresholded
        else _severity(share, 0.1 if gains else 0.3, 0.6),
        symptom=f"{percent(share)} of the objects have no anchor "
        f"{'' if setup.thresholded else 'shape '}with IoU >= {setup.threshold:g}",
        evidence={
            **context.note_of_sample(),
            "share": share,
            "threshold": setup.threshold,
            "of_these": reasons["counts"],
            "by_class": by_class(context, short),
            "by_size": by_band(context, short),
            "worst_images": most_affected(context.sample_names, context.fair.image[short]),
        },
        cause=f"{reasons['text']} {_consequence(setup)}",
        cure=design_command(context, good)
        if gains
        else "As many designed shapes do no better. More shapes (a larger --k), or, where the "
        "cells stand too far apart, larger images or a finer level. Or a lower threshold.",
        predicted=predicted,
        unpredicted=why,
    )


def _consequence(setup: Setup) -> str:
    if setup.thresholded:
        return (
            "Such an object is taught, if at all, through one anchor that fits it badly "
            "(the low-quality match), while many anchors teach a well covered object."
        )
    return "The box regression has to bridge the difference, from the first step to the last."


def _reasons(context: Context, short: NDArray[np.bool_]) -> dict[str, Any]:
    """Why the best anchor falls short: too small, too large, elongated, between shapes, or cells
    too far apart."""
    answers, setup = context.answers, context.setup
    assert setup is not None
    shapes = setup.grid.shapes.numpy().astype(np.float64)
    area, ratio = np.sqrt(shapes.prod(axis=1)), shapes[:, 1] / shapes[:, 0]
    side, wh = context.fair.root_area, context.fair.wh
    slack = 2**0.5  # a shape of the same form and half the area has IoU 0.5
    tall = wh[:, 1] / np.maximum(wh[:, 0], 1e-6)
    place = short & (answers.aligned >= setup.threshold)
    left = short & ~place
    small = left & (side < area.min() / slack)
    large = left & (side > area.max() * slack)
    left &= ~small & ~large
    form = left & ((tall > ratio.max() * slack) | (tall < ratio.min() / slack))
    stride = np.array(setup.strides)[setup.grid.rows.level.numpy()[answers.aligned_shape]]
    coarse = place & (stride > min(setup.strides))
    where = ", ".join(f"{s:g}" for s in np.unique(stride[coarse]))
    masks = {
        f"smaller than every anchor (below {area.min() / slack:.0f} px)": small,
        f"larger than every anchor (above {area.max() * slack:.0f} px)": large,
        "more elongated than every anchor": form,
        "between the shapes": left & ~form,
        f"fitted by a shape, but it stands on too coarse a level (stride {where}) and finer levels "
        "lack it": coarse,
        "fitted by a shape, but the cells stand too far apart for their size (stride "
        f"{min(setup.strides):g})": place & ~coarse,
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items() if mask.any()}
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    total = int(short.sum())
    words = [f"{percent(n / total)} are {name}" for name, n in ordered if n / total >= 0.05]
    return {"counts": counts, "text": "Of these, " + "; ".join(words) + "."}


def by_class(context: Context, mask: NDArray[np.bool_]) -> dict[str, float]:
    """Share of each class's objects where ``mask`` (n,) holds, the worst first."""
    label, names = context.fair.label, context.data.classes
    number = np.bincount(label, minlength=len(names))
    hit = np.bincount(label[mask], minlength=len(names)) / np.maximum(number, 1)
    order = [int(i) for i in np.argsort(-hit, kind="stable") if number[i] and hit[i] > 0]
    return {names[i]: float(hit[i]) for i in order[:_CLASSES]}


def by_band(context: Context, mask: NDArray[np.bool_]) -> dict[str, float | None]:
    """Share of small, medium and large objects (in the network's input) where ``mask`` holds."""
    band = band_of(context.fair.root_area)
    return {
        name: float(mask[band == i].mean()) if (band == i).any() else None
        for i, name in enumerate(BANDS)
    }


def _severity(share: float, warning: float, error: float) -> Severity:
    return "error" if share >= error else "warning" if share >= warning else "note"
