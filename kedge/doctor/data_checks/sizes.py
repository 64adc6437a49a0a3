"""How large and how elongated the objects are, by class: COCO's size bands and octaves of h / w."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import BANDS, band_of, octave_name, octave_of

_CLASSES = 20  # the most frequent ones are listed


def check(context: Context) -> list[Finding]:
    """A note: size bands as annotated and as the network sees them, aspect ratios by class."""
    objects = context.objects.fair
    if len(objects) == 0:
        return []
    seen = context.seen.fair
    side = objects.wh
    ratio = side[:, 1] / np.maximum(side[:, 0], 1e-6)
    annotated, resized = (bands(part.root_area) for part in (objects, seen))
    words = ", ".join(f"{percent(annotated[name])} {name}" for name in BANDS)
    after = ", ".join(f"{percent(resized[name])} {name}" for name in BANDS)
    height, width = context.image_size
    low, middle, high = np.percentile(objects.root_area, (5, 50, 95)).tolist()
    return [
        Finding(
            check="object_sizes",
            severity="note",
            symptom=f"Objects as annotated: {words}. In the network's input of {height} x {width}: "
            f"{after}",
            evidence={
                "annotated": annotated,
                "as_seen": resized,
                "root_area_p5_median_p95": [low, middle, high],
                "h_over_w": histogram(ratio),
                "beyond_3_to_1": float(((ratio > 3) | (ratio < 1 / 3)).mean()),
                "by_class": by_class(context),
            },
            cause="COCO's bands: small is below 32 x 32 pixels of area, large 96 x 96 or more. "
            "Aspect ratios are h / w, in octaves.",
            cure="Nothing to do.",
            unpredicted="a description, nothing is wrong",
        )
    ]


def by_class(context: Context) -> dict[str, Any]:
    """Objects, size bands, median side and aspect ratios of the most frequent classes."""
    objects = context.objects.fair
    number = np.bincount(objects.label, minlength=len(context.data.classes))
    ratio = objects.wh[:, 1] / np.maximum(objects.wh[:, 0], 1e-6)
    rows: dict[str, Any] = {}
    for i in np.argsort(-number, kind="stable")[:_CLASSES].tolist():
        mine = objects.label == i
        if number[i]:
            rows[context.data.classes[i]] = {
                "objects": int(number[i]),
                **bands(objects.root_area[mine]),
                "median_side": float(np.median(objects.root_area[mine])),
                "h_over_w": histogram(ratio[mine]),
            }
    return rows


def bands(root_area: NDArray[np.floating]) -> dict[str, float]:
    """Share of small, medium and large objects."""
    number = np.bincount(band_of(root_area), minlength=3) / max(1, len(root_area))
    return dict(zip(BANDS, number.tolist()))


def histogram(ratio: NDArray[np.floating]) -> dict[str, float]:
    """Share of objects by octave of h / w: "0.5-1" is lying, up to two times as wide as high."""
    octave, number = np.unique(octave_of(ratio), return_counts=True)
    return {octave_name(int(o), unit=""): float(n / len(ratio)) for o, n in zip(octave, number)}
