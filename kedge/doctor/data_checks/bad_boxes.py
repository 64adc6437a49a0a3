"""Boxes that cannot be right: NaN, without area, flipped, outside the image."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from kedge.data import records
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, Severity, count


class _Kind(NamedTuple):
    check: str
    severity: Severity
    what: str
    cause: str
    cure: str


_CLIP = "kedge train --data {data} --on-bad-box clip"
_DROP = "kedge train --data {data} --on-bad-box drop"
_KINDS = {
    "NaN or infinite": _Kind(
        "nan_boxes",
        "error",
        "with a coordinate that is NaN or infinite",
        "A division by zero in a conversion, or the minimum and maximum of an empty mask. One such "
        "box makes the loss NaN at the step that meets it.",
        _DROP,
    ),
    "zero area": _Kind(
        "zero_area_boxes",
        "error",
        "without width or height",
        "A click without a drag, rounding to integers, or an object cut off at the border. log(0) "
        "in the regression targets makes the loss infinite.",
        _DROP,
    ),
    "flipped": _Kind(
        "flipped_boxes",
        "error",
        "with x2 < x1 or y2 < y1",
        "Corners stored in the order in which they were drawn, or xywh read as xyxy.",
        _CLIP,
    ),
    "outside the image": _Kind(
        "boxes_outside",
        "warning",
        "that leave their image by more than a pixel",
        "Boxes of another image size (resized, rotated or cropped without its boxes), or objects "
        "that go on beyond the border.",
        _CLIP,
    ),
}


def check(context: Context) -> list[Finding]:
    """One finding for every kind of bad box."""
    found = []
    for kind, about in _KINDS.items():
        bad = [f for f in context.data.findings if f.kind == kind]
        if bad:
            found.append(_finding(context, about, bad))
    return found


def _finding(context: Context, about: _Kind, bad: list[records.Finding]) -> Finding:
    total = len(context.objects) + sum(f.box is not None for f in context.data.findings)
    saved = _kept_by_clipping(bad) if "clip" in about.cure else 0
    rest = len(bad) - saved
    text = f"{rest:,} of these {len(bad):,} are left out"
    text += f", {saved:,} repaired" if saved else ""
    worst = Counter(f.image for f in bad).most_common(5)
    return Finding(
        check=about.check,
        severity=about.severity,
        symptom=f"{count(len(bad), 'box', 'boxes')} {about.what}",
        evidence={
            "boxes": len(bad),
            "of": total,
            "examples": [str(f) for f in bad[:3]],
            "worst_images": [{"image": name, "boxes": n} for name, n in worst],
        },
        cause=about.cause,
        cure=about.cure.format(data=context.source) + "   # or correct the files",
        predicted={"text": text, "repaired": saved, "dropped": rest},
    )


def _kept_by_clipping(bad: list[records.Finding]) -> int:
    """Boxes of which something is left inside the image after swapping corners and clipping."""
    rows = [(f.box, f.size) for f in bad if f.box is not None and f.size is not None]
    if not rows:
        return 0
    box, size = (np.array(column, np.float64) for column in zip(*rows))
    limit = np.where(size > 0, size, np.inf)
    low = np.clip(np.minimum(box[:, :2], box[:, 2:]), 0, limit)
    high = np.clip(np.maximum(box[:, :2], box[:, 2:]), 0, limit)
    return int((high > low).all(axis=1).sum())
