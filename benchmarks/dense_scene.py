"""What the dense forms share: one image, its matrices, and labels out of them.

A dense form takes a `Scene` and gives labels (N,): >= 0 the object, -1 background, -2 ignored. It
compares all anchors with all objects, as the released codes do, in plain vectorised torch; objects
are rows (G, N) throughout, so that a search over anchors runs over contiguous memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kedge import Grid

BACKGROUND, IGNORED = -1, -2


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """One image: anchors, at least one object (no crowds), and predictions where a rule reads them.

    ``boxes`` (G, 4), ``labels`` (G,), ``logits`` (N, C), ``predicted`` boxes (N, 4), ``objectness``
    logits (N,) or None.
    """

    grid: Grid
    anchors: Tensor  # (N, 4)
    boxes: Tensor
    labels: Tensor
    logits: Tensor | None = None
    predicted: Tensor | None = None
    objectness: Tensor | None = None


Dense = Callable[[Scene], Tensor]


def centres(boxes: Tensor) -> Tensor:
    """(..., 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def areas(boxes: Tensor) -> Tensor:
    """(...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def inside(points: Tensor, boxes: Tensor, margin: float = 0.0) -> Tensor:
    """(G, N) whether points (N, 2) lie inside boxes (G, 4) by more than ``margin``."""
    x, y = points.T.contiguous()
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    mask = (x - x1 > margin) & (x2 - x > margin)
    return mask.logical_and_(y - y1 > margin).logical_and_(y2 - y > margin)


def near_centre(scene: Scene, points: Tensor, radius: float) -> Tensor:
    """(G, N) whether points are within ``radius`` strides of the objects' centres on both axes."""
    x, y = points.unbind(1)
    reach_x, reach_y = (radius * scene.grid.stride()).unbind(1)
    cx, cy = centres(scene.boxes)[:, :, None].unbind(1)
    return ((x - cx).abs() < reach_x).logical_and_((y - cy).abs() < reach_y)


def best(value: Tensor, allowed: Tensor) -> Tensor:
    """(N,) of every anchor the allowed object of largest value (G, N), the lowest among equals."""
    top, index = value.masked_fill(~allowed, -torch.inf).max(0)
    return torch.where(top > -torch.inf, index, BACKGROUND)


def smallest(allowed: Tensor, boxes: Tensor) -> Tensor:
    """(N,) the allowed object (G, N) of smallest area."""
    area = areas(boxes)[:, None].expand_as(allowed)
    return best(-area, allowed)


def last(count: int, anchor: Tensor, target: Tensor) -> Tensor:
    """(N,) of the pairs (P,) the highest object at every anchor: later objects overwrite."""
    out = torch.full((count,), BACKGROUND)
    return out.scatter_reduce_(0, anchor.flatten(), target.flatten(), "amax")


def heaviest(count: int, anchor: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(N,) of the pairs (P,) the one of largest weight at every anchor, the lowest among equals."""
    top = weight.new_full((count,), -torch.inf).scatter_reduce_(0, anchor, weight, "amax")
    first = weight == top[anchor]
    none = torch.iinfo(torch.int64).max
    out = torch.full((count,), none).scatter_reduce_(0, anchor[first], target[first], "amin")
    return torch.where(out < none, out, BACKGROUND)


def overlaps(scene: Scene) -> tuple[Tensor, Tensor]:
    """(G, N) IoU and generalised IoU of the objects with the predicted boxes."""
    a = scene.boxes.T[:, :, None]
    b = scene.predicted.T.contiguous()
    width = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0])).clamp_(min=0)
    shared = torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1])).clamp_(min=0).mul_(width)
    union = (areas(scene.boxes)[:, None] + areas(scene.predicted)).sub_(shared)
    width = torch.maximum(a[2], b[2]).sub_(torch.minimum(a[0], b[0]))
    around = torch.maximum(a[3], b[3]).sub_(torch.minimum(a[1], b[1])).mul_(width)
    iou = shared.div_(union)
    return iou, union.div_(around).sub_(1).add_(iou)


def scores(scene: Scene) -> Tensor:
    """(N, C) probability of every class, times objectness."""
    score = scene.logits.sigmoid()
    return score if scene.objectness is None else score * scene.objectness.sigmoid()[:, None]
