"""Classes without objects, and classes with far fewer than others."""

from collections import Counter

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
        found.append(_absent(context, absent, len(names)))
    present = np.flatnonzero(number)
    ratio = float(number.max() / number[present].min())
    if ratio > _RATIO and len(present) > 1:
        found.append(_rare(context, number, ratio))
    return found


def _absent(context: Context, absent: list[str], total: int) -> Finding:
    shown = ", ".join(absent[:_SHOWN]) + (" ..." if len(absent) > _SHOWN else "")
    elsewhere = _objects_elsewhere(context, absent)
    nowhere = [name for name in absent if name not in elsewhere]
    cure = "Make the splits anew with every class in each." if elsewhere else ""
    cure += f" Remove {_few(nowhere)} from the list of classes." if nowhere else ""
    return Finding(
        check="absent_classes",
        severity="warning",
        symptom=f"{len(absent)} of {total} classes without any object: {shown}",
        evidence={"classes": absent, "of": total, "objects_elsewhere": elsewhere},
        cause=_where(elsewhere, nowhere),
        cure=cure.strip(),
        predicted={
            "text": f"{count(total - len(nowhere), 'class', 'classes')} to learn in place of "
            f"{total}",
            "classes_left": total - len(nowhere),
        }
        if not elsewhere
        else None,
        unpredicted="what a detector learns of them can only be seen in training",
    )


def _where(elsewhere: dict[str, int], nowhere: list[str]) -> str:
    listed = _few([f"{name} ({number})" for name, number in elsewhere.items()])
    parts = [f"Other splits hold objects of {listed}."] if elsewhere else []
    parts += [f"No split that was read has an object of {_few(nowhere)}."] if nowhere else []
    return " ".join(parts)


def _objects_elsewhere(context: Context, absent: list[str]) -> dict[str, int]:
    """Objects of these classes in the other splits together, of those that have any."""
    number: Counter[str] = Counter()
    for data in context.other_splits.values():
        for record in data.records:
            labels = record.labels[~record.crowd].tolist()
            number.update(data.classes[label] for label in labels)
    return {name: number[name] for name in absent if number[name]}


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _rare(context: Context, number: NDArray[np.int64], ratio: float) -> Finding:
    names, objects = context.data.classes, context.objects.fair
    order = [int(i) for i in np.argsort(number, kind="stable") if number[i]]
    low, high = order[0], order[-1]
    holds = np.zeros((len(context.data.records), len(names)), bool)
    holds[objects.image, objects.label] = True
    share = holds.mean(axis=0)
    target = float(share[number > 0].mean())
    repeat = np.sqrt(np.maximum(1, target / np.maximum(share, 1e-12)))
    repeat[number == 0] = 0
    weight = np.maximum(1, (holds * repeat).max(axis=1))
    before = float(share[low])
    after = float((holds[:, low] * weight).sum() / weight.sum())
    helps = after > before + 1e-9
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
        cause=f"An average over classes (mAP) weighs {names[low]} as much as {names[high]}."
        + (f" With fewer than {_FEW} objects a class's score is mostly chance." * bool(few)),
        cure="Show images with rare classes more often. Repeat factor of an image: the largest of "
        "sqrt(t / share of images with the class) over its classes, at least 1, with t = "
        f"{target:.3g} (Gupta et al., arXiv:1908.03195)."
        if helps
        else f"Find more objects of {names[low]}: its images are not the rare ones, so showing "
        "rare images more often does not help.",
        predicted={
            "text": f"{percent(before)} -> {percent(after)} of the images drawn hold {names[low]}; "
            f"an epoch is {weight.mean():.2f} times as long",
            "share_of_images_before": before,
            "share_of_images_after": after,
            "epoch_length": float(weight.mean()),
        }
        if helps
        else None,
        unpredicted="" if helps else "what more objects bring can only be seen in training",
    )
