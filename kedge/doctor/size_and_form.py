"""What a misfit is made of: size, or form (aspect ratio)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def size_and_form(wh: NDArray[Any], shapes: NDArray[Any]) -> tuple[Reals, Reals]:
    """The largest IoU of boxes ``wh`` (n, 2) with any of ``shapes`` (S, 2), centres together, if
    only the areas differed (n,), and if only the aspect ratios did (n,).

    Of two boxes of one form the IoU is the ratio of their areas. Of two of one area and aspect
    ratios r < s, the intersection is q = sqrt(r / s) of that area, so the IoU is q / (2 - q).
    """
    box = np.maximum(np.asarray(wh, np.float64), 1e-6)
    shape = np.asarray(shapes, np.float64)
    area = _closest(box.prod(axis=1), shape.prod(axis=1))
    shared = np.sqrt(_closest(box[:, 1] / box[:, 0], shape[:, 1] / shape[:, 0]))
    return area, shared / (2 - shared)


def _closest(values: Reals, among: Reals) -> Reals:
    """(n,) smaller over larger of each value and the one ``among`` (S,) that is nearest to it."""
    among = np.sort(among)
    right = np.searchsorted(among, values).clip(0, len(among) - 1)
    left = (right - 1).clip(0)
    near = np.stack([among[left], among[right]])
    return np.asarray((np.minimum(near, values) / np.maximum(near, values)).max(axis=0))
