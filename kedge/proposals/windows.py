"""SlidingWindow: windows of a few sizes everywhere."""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from kedge.proposals.source import Found


@dataclass(frozen=True, kw_only=True)
class SlidingWindow:
    """Windows of a few sizes everywhere.

    Their sides are ``sides`` times that of a square as large as the image, at each of
    ``h_over_w``, and they stand a share ``step`` of their own width and height apart, or a little
    less, so that they reach every border.

    A window wider or higher than the image is cut to it. Pixels are not looked at, so nothing says
    which window is better: large ones come first, the score is the window's share of the image.

    Raises ``ValueError`` for sides, ratios or a step that are not positive.
    """

    sides: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0625)
    h_over_w: tuple[float, ...] = (0.5, 1.0, 2.0)
    step: float = 0.5

    def __post_init__(self) -> None:
        numbers = (*self.sides, *self.h_over_w, self.step)
        if not (self.sides and self.h_over_w and min(numbers) > 0):
            raise ValueError(f"{self}: sides, h_over_w and step must be positive")

    def boxes(self, image: NDArray[np.uint8]) -> Found:
        """See ``Source``."""
        height, width = image.shape[:2]
        parts = [
            self._windows(height, width, side, ratio)
            for side in sorted(self.sides, reverse=True)
            for ratio in self.h_over_w
        ]
        boxes = np.unique(np.concatenate(parts), axis=0)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        order = np.argsort(-area, kind="stable")
        return boxes[order], (area[order] / (height * width)).astype(np.float32)

    def _windows(self, height: int, width: int, side: float, ratio: float) -> NDArray[np.float32]:
        size = side * sqrt(height * width)
        w, h = min(size / sqrt(ratio), width), min(size * sqrt(ratio), height)
        left = np.linspace(0, width - w, ceil((width - w) / (self.step * w)) + 1)
        top = np.linspace(0, height - h, ceil((height - h) / (self.step * h)) + 1)
        y, x = (grid.ravel() for grid in np.meshgrid(top, left, indexing="ij"))
        return np.stack([x, y, x + w, y + h], 1).astype(np.float32)
