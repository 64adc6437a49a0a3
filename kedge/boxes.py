"""Box geometry: areas and the IoU of pairs.

Boxes are ``xyxy`` in continuous pixel coordinates: width is ``x2 - x1``, never ``+ 1``. Conversions
between formats and NMS come from ``torchvision.ops``. A degenerate box (no area) scores 0 against everything;
values and gradients stay finite.
"""

import torch
from torch import Tensor


def sizes(boxes: Tensor) -> Tensor:
    """Width and height (..., 2) of ``xyxy`` boxes (..., 4)."""
    return boxes[..., 2:] - boxes[..., :2]


def centres(boxes: Tensor) -> Tensor:
    """Centre x and y (..., 2) of ``xyxy`` boxes (..., 4)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def area(boxes: Tensor) -> Tensor:
    """Area (...) of ``xyxy`` boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _float(boxes: Tensor) -> Tensor:
    """At least float32: a float16 area overflows at 256 px."""
    return boxes.to(torch.promote_types(boxes.dtype, torch.float32))


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Area shared by ``a[..., 4]`` and ``b[..., 4]``; the leading dimensions broadcast."""
    corner = torch.maximum(a[..., :2], b[..., :2])
    opposite = torch.minimum(a[..., 2:], b[..., 2:])
    side = (opposite - corner).clamp(min=0)
    return side[..., 0] * side[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of ``a[..., 4]`` with ``b[..., 4]``; the leading dimensions broadcast.

    ``iou(a, b)`` of two (P, 4) tensors compares them row by row; ``iou(a[:, None], b[None])`` is the
    dense matrix. In float32 the result equals ``torchvision.ops.box_iou`` bit by bit wherever the union
    is positive; a pair of empty boxes scores 0 (torchvision: NaN).
    """
    a, b = _float(a), _float(b)
    inter = intersection(a, b)
    union = area(a) + area(b) - inter
    return inter / torch.where(union > 0, union, torch.ones_like(union))


def iof(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over the area of ``a`` (the foreground); shapes as in ``iou``. 0 for an empty ``a``."""
    a, b = _float(a), _float(b)
    own = area(a)
    return intersection(a, b) / torch.where(own > 0, own, torch.ones_like(own))
