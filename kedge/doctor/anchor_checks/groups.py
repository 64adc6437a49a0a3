"""Shares by class and by size, and how bad a share is."""

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Severity
from kedge.doctor.objects import BANDS, band_of

CLASSES = 20


def by_class(context: Context, mask: NDArray[np.bool_]) -> dict[str, float]:
    """Share of each class's objects where ``mask`` (n,) holds, the worst first."""
    label, names = context.fair.label, context.data.classes
    number = np.bincount(label, minlength=len(names))
    hit = np.bincount(label[mask], minlength=len(names)) / np.maximum(number, 1)
    order = [int(i) for i in np.argsort(-hit, kind="stable") if number[i] and hit[i] > 0]
    return {names[i]: float(hit[i]) for i in order[:CLASSES]}


def by_band(context: Context, mask: NDArray[np.bool_]) -> dict[str, float | None]:
    """Share of small, medium and large objects (in the network's input) where ``mask`` holds."""
    band = band_of(context.fair.root_area)
    return {
        name: float(mask[band == i].mean()) if (band == i).any() else None
        for i, name in enumerate(BANDS)
    }


def severity_of(share: float, warning: float, error: float) -> Severity:
    return "error" if share >= error else "warning" if share >= warning else "note"
