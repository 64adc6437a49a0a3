"""Areas of objects' masks, as annotations say them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kedge.data.problems import Problems
from kedge.parse import number


def area_of(value: Any) -> float | None:
    """A number of an annotation, typed as one or as text; NaN for what is none."""
    found = number(value)
    return math.nan if found is None and value is not None else found


def areas_of(
    said: Sequence[float | None], where: Callable[[int], str], problems: Problems
) -> np.ndarray | None:
    """(n,) float64 pixels of what is ``said``, NaN where nothing is; None where nothing is at all.
    A number that is no area is told, at ``where`` (the first), and NaN too."""
    if all(area is None for area in said):
        return None
    found = np.array([np.nan if area is None else area for area in said], np.float64)
    sound = np.isfinite(found) & (found >= 0)
    odd = [i for i, area in enumerate(said) if area is not None and not sound[i]]
    if odd:
        message = "the area is no number of pixels: that of the box is taken"
        problems.note("area that is none", "", where(odd[0]), message, count=len(odd))
    return np.where(sound, found, np.nan)
