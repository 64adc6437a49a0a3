"""Losses built on the IoU family: alpha-IoU, Inner-IoU and bounded IoU.

Shapes, units and edge cases as in `kedge.losses.iou`.
"""

from typing import Literal

import torch
from torch import Tensor

from kedge import boxes
from kedge.losses.iou import prepare
from kedge.losses.reduce import Reduction, reduce
from kedge.losses.smooth_l1 import smooth_l1_loss

Penalty = Literal["iou", "giou", "diou", "ciou"]


def _penalties(inputs: Tensor, targets: Tensor, kind: Penalty) -> list[Tensor]:
    """What the loss of ``kind`` adds to ``1 - IoU``, each (P,) and >= 0."""
    if kind == "iou":
        return []
    if kind == "giou":
        return [boxes.empty_share(inputs, targets)]
    distance = boxes.centre_distance(inputs, targets)
    if kind == "diou":
        return [distance]
    if kind == "ciou":
        return [distance, boxes.aspect_difference(inputs, targets)]
    raise ValueError(f"kind {kind!r} must be 'iou', 'giou', 'diou' or 'ciou'")


def alpha_iou_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    alpha: float = 3.0,
    kind: Penalty = "ciou",
    reduction: Reduction = "mean",
) -> Tensor:
    """``1 - IoU^alpha`` plus the penalties of ``kind``, each to the power ``alpha``.

    ``alpha`` > 1 weighs boxes that fit well; 1 is the plain loss of that kind. Powers are taken of
    ``max(x, 1e-7)``, so gradients stay finite for ``alpha`` < 1. Raises ValueError for ``alpha`` <=
    0.

    Source: He et al., arXiv:2110.13675.
    """
    if alpha <= 0:
        raise ValueError(f"alpha_iou_loss: alpha {alpha} must be positive")
    inputs, targets = prepare(inputs, targets, "alpha_iou_loss")
    loss = 1 - boxes.iou(inputs, targets).clamp(min=1e-7) ** alpha
    for penalty in _penalties(inputs, targets, kind):
        loss = loss + penalty.clamp(min=1e-7) ** alpha
    return reduce(loss, reduction)


def inner_iou_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    ratio: float = 0.7,
    kind: Penalty = "ciou",
    reduction: Reduction = "mean",
) -> Tensor:
    """``1 - IoU`` of both boxes scaled by ``ratio``, plus the penalties of ``kind``.

    Boxes are scaled about their own centres. ``ratio`` below 1 sharpens the gradient of good boxes,
    above 1 gives one to boxes that miss; the paper uses 0.5 to 1.5; 1 is the plain loss. Penalties
    compare the unscaled boxes. Raises ValueError for a ``ratio`` that is not positive.

    Source: Zhang et al., arXiv:2311.02877.
    """
    if ratio <= 0:
        raise ValueError(f"inner_iou_loss: ratio {ratio} must be positive")
    inputs, targets = prepare(inputs, targets, "inner_iou_loss")
    loss = 1 - boxes.iou(boxes.scaled(inputs, ratio), boxes.scaled(targets, ratio))
    return reduce(sum(_penalties(inputs, targets, kind), loss), reduction)


def bounded_iou_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    beta: float = 0.2,
    eps: float = 1e-3,
    reduction: Reduction = "mean",
) -> Tensor:
    """Upper bound of the IoU that each of x, y, w, h could reach alone, through smooth L1, summed.

    Per pair the sum of four terms: ``1 - max((g - 2 |d|) / (g + 2 |d| + eps), 0)`` for the centre
    offset d and target side g, ``1 - min(g / p, p / g)`` for the sides p and g (``eps`` px in the
    denominators). With equal centres only the sides count: the shape loss of Guided Anchoring.

    Source: Tychsen-Smith and Petersson, arXiv:1711.00164 (Fitness NMS); Wang et al.,
    arXiv:1901.03278. MMDetection averages over the four terms; here they are summed.
    """
    inputs, targets = prepare(inputs, targets, "bounded_iou_loss")
    offset = (boxes.centres(inputs) - boxes.centres(targets)).abs()
    side, target_side = boxes.sizes(inputs), boxes.sizes(targets)
    room = (target_side - 2 * offset) / (target_side + 2 * offset + eps)
    fit = torch.minimum(target_side / (side + eps), side / (target_side + eps))
    terms = 1 - torch.cat((room.clamp(min=0), fit), dim=-1)
    smooth = smooth_l1_loss(terms, torch.zeros_like(terms), beta=beta, reduction="none")
    return reduce(smooth.sum(dim=-1), reduction)
