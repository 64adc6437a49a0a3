"""Which IoU thresholds suit these objects: a sweep, and a recommended pair."""

from typing import Any

import numpy as np

from kedge.doctor.answers import Overlaps
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

POSITIVE = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
NEGATIVE = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
_LEFT_OUT = 0.01
_LOWEST, _BAND = 0.35, 0.1
_LEAST = 0.002  # of the objects: a lower threshold that serves no more is no cure


def check(context: Context) -> list[Finding]:
    """The sweep; a warning where another positive threshold serves clearly more objects."""
    setup = context.setup
    if setup is None or len(context.fair) == 0 or setup.by_iou is None:
        return []
    over, now = context.overlaps, (setup.by_iou.positive, setup.by_iou.negative)
    best = recommend(over)
    before, after = (float((over.own < t).mean()) for t in (now[0], best[0]))
    rows = sweep(over)
    lower = best[0] < now[0] - 1e-9
    gain = before - after
    useful = gain > _LEAST
    severity = "warning" if lower and gain > 0.05 else "note"
    count = max(1, len(over.own))
    high_before, high_after = (over.split(*pair)[0] / count for pair in (now, best))
    return [
        Finding(
            check="thresholds",
            severity=severity,
            symptom=f"At {now[0]:g} / {now[1]:g} (positive / negative IoU) {percent(before)} of "
            "the objects get no anchor of their own without the low-quality match",
            evidence={
                "objects": count,
                "in_use": list(now),
                "recommended": list(best),
                "sweep": rows,
            },
            cause="The threshold asks for more than the shapes and cells can give."
            if severity == "warning"
            else "The higher the threshold, the better an anchor fits what it is taught, and the "
            "fewer objects have one.",
            cure=_cure(context, best, lower and useful),
            predicted={
                "text": f"objects without an anchor of their own {percent(before)} -> "
                f"{percent(after)}; positives per object {high_before:.1f} -> {high_after:.1f}",
                "left_out_before": before,
                "left_out_after": after,
                "positives_per_object_before": high_before,
                "positives_per_object_after": high_after,
            }
            if lower and useful
            else None,
            unpredicted="nothing has to change",
        )
    ]


def _cure(context: Context, best: tuple[float, float], lower: bool) -> str:
    if not lower:
        return "Keep the thresholds."
    cure = f"MaxIoU(positive={best[0]:g}, negative={best[1]:g})"
    designed, setup = context.designed, context.setup
    assert setup is not None
    if designed is None or best[0] >= setup.threshold:
        return cure
    gain = designed.after.covered(setup.threshold).mean()
    gain -= designed.before.covered(setup.threshold).mean()
    if gain < 0.05:
        return cure
    return f"{cure}   # instead of new anchors, not beside them: with these, ask the doctor again"


def sweep(over: Overlaps) -> list[dict[str, Any]]:
    """Positive : ignored : negative and the share of objects left out, for pairs of thresholds."""
    rows = []
    for positive in POSITIVE:
        for negative in NEGATIVE:
            if negative > positive:
                continue
            high, middle, low = over.split(positive, negative)
            rows.append(
                {
                    "positive": positive,
                    "negative": negative,
                    "positives": high,
                    "ignored": middle,
                    "negatives": low,
                    "objects_left_out": float((over.own < positive).mean()),
                    "positives_per_object": high / max(1, len(over.own)),
                }
            )
    return rows


def recommend(over: Overlaps) -> tuple[float, float]:
    """The highest positive threshold that leaves out at most 1 % of the objects; where none does,
    the lowest sensible one (0.35). The negative threshold lies 0.1 below, as RetinaNet's."""
    fine = [t for t in POSITIVE if t >= _LOWEST and np.mean(over.own < t) <= _LEFT_OUT]
    positive = max(fine, default=_LOWEST)
    return positive, round(positive - _BAND, 2)
