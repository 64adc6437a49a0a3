"""Classes without objects, and classes with far fewer than others."""

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent

_RATIO = 20.0
_FEW = 10
_SHOWN = 12


def check(context: Context) -> list[Finding]:
    """Absent classes; and a largest class more than twenty times the smallest."""
    names = context.data.classes
    objects = context.objects.fair
    if len(objects) == 0 or len(names) < 2:
        return []
    number = np.bincount(objects.label, minlength=len(names))
    found = []
    absent = [names[i] for i in np.flatnonzero(number == 0)]
    if absent:
        found.append(_absent(absent, len(names)))
    present = np.flatnonzero(number)
    ratio = float(number.max() / number[present].min())
    if ratio > _RATIO and len(present) > 1:
        found.append(_rare(context, number, ratio))
    return found


def _absent(absent: list[str], total: int) -> Finding:
    shown = ", ".join(absent[:_SHOWN]) + (" ..." if len(absent) > _SHOWN else "")
    return Finding(
        check="absent_classes",
        severity="warning",
        symptom=f"{len(absent)} of {total} classes without any object: {shown}",
        evidence={"classes": absent, "of": total},
        cause="A list of classes from another data set, a split that missed them, or names that "
        "differ in spelling.",
        cure="Remove them from the list of classes, or make the splits anew with every class in "
        "each.",
        predicted={
            "text": f"{total - len(absent)} outputs per anchor in place of {total}; scores of the "
            "other classes stay (an absent class has no AP)",
            "classes_left": total - len(absent),
        },
    )


def _rare(context: Context, number: NDArray[np.int64], ratio: float) -> Finding:
    names, objects = context.data.classes, context.objects.fair
    order = [int(i) for i in np.argsort(number, kind="stable") if number[i]]
    low, high = order[0], order[-1]
    holds = np.zeros((len(context.data.records), len(names)), bool)
    holds[objects.image, objects.label] = True
    filled = holds[holds.any(axis=1)]
    share = holds.mean(axis=0)
    target = float(np.median(share[number > 0]))
    repeat = np.sqrt(np.maximum(1, target / np.maximum(share, 1e-12)))
    repeat[number == 0] = 0
    weight = np.maximum(1, (filled * repeat).max(axis=1))
    before = float(filled[:, low].mean())
    after = float((filled[:, low] * weight).sum() / weight.sum())
    few = [names[i] for i in order if number[i] < _FEW]
    return Finding(
        check="class_imbalance",
        severity="warning" if few else "note",
        symptom=f"{names[high]} has {number[high]:,} objects, {names[low]} {number[low]:,}: "
        f"{ratio:,.0f} to 1"
        + (f"; {count(len(few), 'class', 'classes')} below {_FEW} objects" if few else ""),
        evidence={
            "objects_by_class": {
                names[i]: int(number[i]) for i in (*order[:_SHOWN], high) if number[i]
            },
            "ratio": ratio,
            "below_ten": few,
        },
        cause="Rare things are rare. Averages over classes (mAP) weigh them as much as the common "
        "ones; a score for a handful of objects is noise.",
        cure="Show images with rare classes more often. Repeat factor of an image: the largest of "
        "sqrt(t / share of images with the class) over its classes, at least 1, with t = "
        f"{target:.3g} (Gupta et al., arXiv:1908.03195).",
        predicted={
            "text": f"{percent(before)} -> {percent(after)} of the images drawn hold {names[low]}; "
            f"an epoch is {weight.mean():.2f} times as long",
            "share_of_images_before": before,
            "share_of_images_after": after,
            "epoch_length": float(weight.mean()),
        },
    )
