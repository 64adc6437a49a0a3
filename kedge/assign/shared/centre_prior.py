"""What AutoAssign and DW share: a Gaussian around the target's centre, and joint confidences."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.costs import class_logit, giou_cost, objectness
from kedge.boxes import centres
from kedge.scores import log_score
from kedge.types import Predictions


def gaussian_prior(pairs: Pairs, mean: Tensor, sigma: Tensor) -> Tensor:
    """(P,) ``exp(-(offset - mean)^2 / (2 sigma^2))``, x times y, differentiable in both.

    ``mean`` and ``sigma`` (C, 2) or (1, 2), x then y: per class or one for all, in strides.
    """
    offset = (pairs.points() - centres(pairs.target_boxes())) / pairs.stride()
    label = pairs.labels() if len(mean) > 1 else torch.zeros_like(pairs.target)
    away = (offset - mean[label]) ** 2 / (2 * sigma[label] ** 2)
    return torch.exp(-away.sum(1))


def confidence(predictions: Predictions, pairs: Pairs, box_weight: float) -> Tensor:
    """(P,) score of the target's class * objectness * exp(-box_weight * GIoU loss)."""
    score = log_score(class_logit(predictions, pairs), objectness(predictions, pairs.anchor))
    return torch.exp(score - box_weight * giou_cost(predictions, pairs))
