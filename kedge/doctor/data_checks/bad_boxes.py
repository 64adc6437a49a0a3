"""Boxes that cannot be right: NaN, without area, flipped, outside the image."""

import math
from collections import Counter
from shlex import quote as quoted
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedge.data import records
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, Severity, count, percent


class _Kind(NamedTuple):
    check: str
    severity: Severity
    what: str
    harm: str


_KINDS = {
    "NaN or infinite": _Kind(
        "nan_boxes",
        "error",
        "with a coordinate that is NaN or infinite",
        "One such box makes the loss NaN at the step that meets it.",
    ),
    "zero area": _Kind(
        "zero_area_boxes",
        "error",
        "without width or height",
        "log(0) in the regression targets makes the loss infinite.",
    ),
    "flipped": _Kind(
        "flipped_boxes", "error", "with x2 < x1 or y2 < y1", "A side of theirs is negative."
    ),
    "outside the image": _Kind(
        "boxes_outside", "warning", "that leave their image by more than a pixel", ""
    ),
}
BOX_KINDS = tuple(_KINDS)
_MOST = 0.5  # of a box's area: where clipping takes more, it makes another box of it


def check(context: Context) -> list[Finding]:
    """One finding for every kind of bad box."""
    found = []
    for kind, about in _KINDS.items():
        bad = [f for f in context.data.findings if f.kind == kind]
        if bad:
            found.append(_finding(context, about, bad))
    return found


def _finding(context: Context, about: _Kind, bad: list[records.Finding]) -> Finding:
    """``clip`` is the cure only where it leaves most of every box."""
    total = len(context.objects) + sum(f.box is not None for f in context.data.findings)
    kept = kept_by_clipping(bad)
    clips = bool((kept >= _MOST).all())
    saved = len(bad) if clips else 0
    worst = Counter(f.image for f in bad).most_common(5)
    root = "" if context.data.root is None else f"--root {quoted(str(context.data.root))} "
    command = f"kedge train --data {quoted(context.source)} {root}--on-bad-box "
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
        cause=" ".join(part for part in (f"{bad[0]}.", _outside(kept), about.harm) if part),
        cure=f"Correct the files; or: {command}{'clip' if clips else 'drop'}",
        predicted={
            "text": f"{saved:,} repaired" if clips else f"{len(bad):,} left out",
            "repaired": saved,
            "dropped": len(bad) - saved,
        },
    )


def _outside(kept: NDArray[np.float64]) -> str:
    """How much of the boxes clipping would take, where it is that which is wrong with them."""
    cut = kept[(kept > 0) & (kept < 1 - 1e-9)]
    if not len(cut):
        return ""
    words = f"Clipping takes {percent(float(np.median(1 - cut)))} of such a box (median)"
    most = int((kept < _MOST).sum())
    return f"{words}; of {most:,} most or all of it." if most else f"{words}."


def kept_by_clipping(bad: list[records.Finding]) -> NDArray[np.float64]:
    """(n,) share of each box's area that is left after swapping its corners and clipping it; 0
    where nothing is."""
    box = np.array([f.box or (math.nan,) * 4 for f in bad], np.float64).reshape(-1, 4)
    size = np.array([f.size or (0, 0) for f in bad], np.float64).reshape(-1, 2)
    limit = np.where(size > 0, size, np.inf)
    low, high = np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        inside = (np.clip(high, 0, limit) - np.clip(low, 0, limit)).clip(min=0).prod(axis=1)
        kept = inside / (high - low).prod(axis=1)
    return np.nan_to_num(kept, nan=0.0, posinf=0.0)
