"""Peaks: the points that heat maps show."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Peaks(NamedTuple):
    """The best points of every image, best first: (B, k) each. ``x`` and ``y`` count cells."""

    score: Tensor
    label: Tensor
    y: Tensor
    x: Tensor

    def read(self, maps: Tensor) -> Tensor:
        """(B, k, E) what maps (B, E, H, W) say at the points."""
        cell = (self.y * maps.shape[3] + self.x)[:, None].expand(-1, maps.shape[1], -1)
        return maps.flatten(2).gather(2, cell).transpose(1, 2)


@torch.no_grad()
def peaks(heat: Tensor, k: int, kernel: int = 3) -> Peaks:
    """The ``k`` best points of every image's ``heat`` (B, C, H, W), of all classes together.

    A point is a cell that nothing within its ``kernel`` x ``kernel`` cells of the same class
    exceeds; a plateau is all points. Other cells follow with score 0 where there are too few, and
    there are fewer than ``k`` only where a map has fewer cells.

    Source: Law and Deng, arXiv:1808.01244, section 4.3.
    """
    height, width = heat.shape[2:]
    top = heat == F.max_pool2d(heat, kernel, stride=1, padding=kernel // 2)
    flat = torch.where(top, heat, 0.0).flatten(1)
    score, place = flat.topk(min(k, flat.shape[1]), dim=1)
    label, cell = place.div(height * width, rounding_mode="floor"), place % (height * width)
    return Peaks(score, label, cell.div(width, rounding_mode="floor"), cell % width)
