"""What AutoAssign and DW share: a Gaussian around the target's centre, and joint confidences."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.costs import class_logit, objectness, predicted_boxes
from kedge.boxes import centres, empty_share, iou
from kedge.scores import log_score
from kedge.types import Predictions


def gaussian_prior(pairs: Pairs, mean: Tensor, sigma: Tensor) -> Tensor:
    """(P,) ``exp(-(offset - mean)^2 / (2 sigma^2))``, x times y, differentiable in both.

    ``mean`` and ``sigma`` (C, 2) or (1, 2), x then y: per class or one for all, in strides.
    """
    offset = (pairs.points() - centres(pairs.target_boxes())) / pairs.stride()
    if len(mean) > 1:
        mean, sigma = mean[pairs.labels()], sigma[pairs.labels()]
    away = [
        (along - middle) ** 2 / (2 * spread**2)
        for along, middle, spread in zip(offset.unbind(1), mean.unbind(1), sigma.unbind(1))
    ]
    return torch.exp(-(away[0] + away[1]))


def confidence(predictions: Predictions, pairs: Pairs, box_weight: float) -> tuple[Tensor, Tensor]:
    """(P,) score of the target's class * objectness * exp(-box_weight * GIoU loss), and (P,) IoU of
    the predicted box."""
    boxes, objects = predicted_boxes(predictions, pairs), pairs.target_boxes()
    overlap = iou(boxes, objects)
    missed = 1 - (overlap - empty_share(boxes, objects))
    score = log_score(class_logit(predictions, pairs), objectness(predictions, pairs.anchor))
    return torch.exp(score - box_weight * missed), overlap
