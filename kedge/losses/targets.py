"""Targets of the quality branches: centre-ness and predicted IoU."""

import torch
from torch import Tensor

from kedge import boxes


@torch.no_grad()
def centreness_target(points: Tensor, targets: Tensor) -> Tensor:
    """Centre-ness (P,) of ``points`` (P, 2) in ``targets`` (P, 4), 1 in the middle.

    ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``. 0 for points outside and for boxes
    without area. No gradient.

    Source: Tian et al., arXiv:1904.01355, eq. 3.
    """
    points, targets = boxes.at_least_float32(points, targets)
    before, after = points - targets[..., :2], targets[..., 2:] - points
    shorter, longer = torch.minimum(before, after), torch.maximum(before, after)
    ratio = shorter.clamp(min=0) / torch.where(longer > 0, longer, torch.ones_like(longer))
    return torch.sqrt(ratio[..., 0] * ratio[..., 1])


@torch.no_grad()
def iou_target(inputs: Tensor, targets: Tensor) -> Tensor:
    """IoU (P,) of predicted ``inputs`` (P, 4) with ``targets`` (P, 4), in [0, 1], no gradient.

    What the IoU branch of PAA and the quality target of QFL, VFL and SimOTA are trained with.
    Negative sides count as zero.
    """
    return boxes.iou(boxes.unflip(inputs), targets).clamp(0, 1)
