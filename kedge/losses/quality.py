"""Classification losses whose target is the quality of the box: QFL and VFL."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce


def quality_focal_loss(
    inputs: Tensor, targets: Tensor, *, beta: float = 2.0, reduction: Reduction = "mean"
) -> Tensor:
    """Quality focal loss: ``|y - p|^beta`` times the cross-entropy of p = sigmoid(inputs) and y.

    ``inputs`` are logits, ``targets`` y in [0, 1] of the same shape: the IoU of the predicted box
    at the class of its target, 0 elsewhere. ``beta=0`` is cross-entropy; other values must be at
    least 1 (below, the gradient at y = p is infinite). GFL divides the sum by the number of
    positives.

    Raises ValueError for other ``beta`` and when the shapes differ.

    Source: Li et al., arXiv:2006.04388, eq. 2.
    """
    if beta != 0 and beta < 1:
        raise ValueError(f"quality_focal_loss: beta {beta} must be 0 or at least 1")
    check_same_shape(inputs, targets, "quality_focal_loss")
    inputs, targets = at_least_float32(inputs, targets)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    return reduce((targets - inputs.sigmoid()).abs() ** beta * entropy, reduction)


def varifocal_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.75,
    gamma: float = 2.0,
    weigh_positives: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Varifocal loss: negatives fade as in the focal loss, positives count by their quality.

    With p = sigmoid(inputs): ``y * BCE(p, y)`` where the target y > 0, ``alpha * p^gamma * BCE(p,
    0)`` where it is 0. ``weigh_positives=False`` leaves the factor y out. ``inputs`` are logits,
    ``targets`` in [0, 1] of the same shape. VFNet divides the sum by the number of positives.

    Raises ValueError when the shapes differ.

    Source: Zhang et al., arXiv:2008.13367, eq. 2.
    """
    check_same_shape(inputs, targets, "varifocal_loss")
    inputs, targets = at_least_float32(inputs, targets)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    positive = targets if weigh_positives else torch.ones_like(targets)
    weight = torch.where(targets > 0, positive, alpha * torch.exp(gamma * F.logsigmoid(inputs)))
    return reduce(weight * entropy, reduction)
