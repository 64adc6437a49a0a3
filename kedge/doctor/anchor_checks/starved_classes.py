"""Classes whose objects get far fewer positive anchors than others' do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.anchor_checks.cures import design_command
from kedge.doctor.answers import Answers
from kedge.doctor.context import Context, design_for
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import Objects

_TIMES = 2.0  # as many positives an object
_FEW = 10  # objects of a class whose mean says little
_GAIN = 1.2  # times the share, from which other shapes are worth it


def check(context: Context) -> list[Finding]:
    """A rare class whose objects get less than half of the positives that those of another get, by
    a threshold of the IoU; a warning where shapes for which classes count the same feed it."""
    setup, fair = context.setup, context.fair
    if setup is None or setup.points or not setup.thresholded or setup.per_object:
        return []
    names = context.data.classes
    number = np.bincount(fair.label, minlength=len(names))
    known = np.flatnonzero(number >= _FEW)
    if len(known) < 2:
        return []
    positives = of_classes(context.answers, fair, len(names))
    each = positives[known] / number[known]
    low, high = int(known[each.argmin()]), int(known[each.argmax()])
    if each.max() < _TIMES * each.min() or number[low] * len(known) > number[known].sum():
        return []
    predicted = _predicted(context, low)
    before, objects = positives[low] / positives.sum(), number[low] / number.sum()
    return [
        Finding(
            check="starved_classes",
            severity="note" if predicted is None else "warning",
            symptom=f"An object of {names[low]} gets {each.min():.1f} positive anchors, one of "
            f"{names[high]} {each.max():.1f}: {percent(objects)} of the objects, {percent(before)} "
            "of the positives",
            evidence={
                **context.note_of_sample(),
                "per_object_by_class": {
                    names[i]: float(positives[i] / number[i]) for i in np.flatnonzero(number)
                },
                "share_of_positives": float(before),
                "share_of_objects": float(objects),
            },
            cause="Fewer anchors reach the threshold for it. In a loss that is divided by the "
            "number of positives it weighs less, where a mean over classes (mAP) weighs it as "
            "much.",
            cure=_cure(context, gains=predicted is not None),
            predicted=predicted,
            unpredicted=""
            if predicted
            else "as many shapes, chosen so that every class counts the same, feed it no better",
        )
    ]


def of_classes(answers: Answers, objects: Objects, classes: int) -> NDArray[np.float64]:
    """(C,) positives of the fair ``objects`` of every class."""
    counted = np.bincount(objects.label, weights=answers.positives, minlength=classes)
    return counted.astype(np.float64)


def _predicted(context: Context, low: int) -> dict[str, Any] | None:
    """The class's share of the positives before and after a design for which classes count the
    same, on images that it did not see; None where that gains too little."""
    assert context.setup is not None
    designed = design_for(context.setup, context.sample, context.seed, balance="classes")
    if designed is None:
        return None
    share, positives = [], []
    for answers in (designed.before, designed.after):
        counted = of_classes(answers, designed.objects, len(context.data.classes))
        share.append(float(counted[low] / max(1.0, counted.sum())))
        positives.append(float(counted[low]))
    if share[1] < _GAIN * share[0] or positives[1] <= positives[0]:
        return None
    name = context.data.classes[low]
    return {
        "text": "as many shapes, chosen so that every class counts the same, on images held out: "
        f"{percent(share[0])} -> {percent(share[1])} of the positives are of {name}",
        "share_before": share[0],
        "share_after": share[1],
    }


def _cure(context: Context, gains: bool) -> str:
    setup = context.setup
    assert setup is not None
    said = "Let every object count the same in the loss"
    said += ": kedge train ... --loss per_object=true." if setup.flags else "."
    if not gains:
        return said
    if setup.configurable and setup.fitted and context.run is None:
        return f"{said} Or feed it: kedge train {setup.flags} --balance classes"
    return f"{said} Or feed it: {design_command(context, balance='classes')}"
