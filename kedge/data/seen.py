"""Where an image lies on the network's input, and where its boxes lie there. No pixel is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image goes: resized to `inner` (height, width), put at (dx, dy) of `outer`."""

    inner: tuple[int, int]
    outer: tuple[int, int]
    dx: int
    dy: int


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (H, W) of an input; ``ValueError`` where that is no size."""
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width) in pixels, not {size!r}")
    return (int(size[0]), int(size[1]))


Place = Callable[[int, int], Placement]  # of an image's height and width


def letterboxed(
    height: int, width: int, size: tuple[int, int], pad: bool = True, enlarge: bool = True
) -> Placement:
    """An image of (height, width) fitted into `size` (H, W), its aspect ratio kept.

    pad: in the middle of a canvas of exactly `size`. enlarge: also images smaller than `size`.
    """
    rate = min(size[0] / height, size[1] / width)
    if not enlarge:
        rate = min(rate, 1.0)
    inner = (max(1, round(height * rate)), max(1, round(width * rate)))
    if not pad:
        return Placement(inner, inner, 0, 0)
    dy, dx = ((outer - side) // 2 for outer, side in zip(size, inner, strict=True))
    return Placement(inner, size, dx, dy)


def as_seen(xyxy: Any, sizes: Any, place: Place) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes on the network's input (n, 4) float32 xyxy, and the (H, W) of that input (n, 2).

    `xyxy` (n, 4) pixels of the original images, `sizes` (n, 2) the (H, W) of each box's image.
    `place` says where an image of (height, width) goes: ``Fit(size).placement``, or one of
    ``kedge.design``'s resizings. Boxes are moved, never cut off. An image of no size (below one
    pixel, NaN, infinite) makes its boxes NaN.
    """
    boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    height, width = np.asarray(sizes, np.float64).reshape(-1, 2).round().T
    known = (height >= 1) & (height < 2**31) & (width >= 1) & (width < 2**31)  # NaN is neither
    packed = np.zeros(len(boxes), np.int64)
    packed[known] = height[known].astype(np.int64) << 31 | width[known].astype(np.int64)
    different, index = _different(packed)
    maps = np.array([_map(n >> 31, n & (1 << 31) - 1, place) for n in different.tolist()])
    maps = maps.astype(np.float32).reshape(-1, 10)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = boxes * maps[:, :4][index] + maps[:, 4:8][index]
    return seen, maps[:, 8:][index]


def _different(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``np.unique`` with the inverse, of values that stand in runs: a box beside those of the same
    image."""
    begins = np.ones(len(values), bool)
    begins[1:] = values[1:] != values[:-1]
    different, index = np.unique(values[begins], return_inverse=True)
    return different, index[begins.cumsum() - 1]


def _map(height: int, width: int, place: Place) -> tuple[float, ...]:
    """Factors of xyxy, offsets of xyxy, height and width of the input."""
    if height == 0 or width == 0:
        return (float("nan"),) * 10
    plan = place(height, width)
    factors = (plan.inner[1] / width, plan.inner[0] / height)
    return (*factors, *factors, *(plan.dx, plan.dy) * 2, *plan.outer)
