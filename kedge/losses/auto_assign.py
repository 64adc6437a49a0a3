"""The likelihood of AutoAssign."""

import torch
from torch import Tensor

from kedge.boxes import giou, unflip
from kedge.losses.background import background_sum, pair_log_score, scaled_focal
from kedge.ranks import per_rank
from kedge.types import Assignment, Predictions


def auto_assign_loss(
    predictions: Predictions,
    assignment: Assignment,
    prior: Tensor,
    *,
    box_weight: float = 5.0,
    positive_weight: float = 0.25,
    negative_weight: float = 0.75,
    centre_weight: float = 0.75,
) -> dict[str, Tensor]:
    """``{"positive", "negative", "centre"}``, to be added, for the pairs of ``AutoAssign``.

    ``prior`` (P,) is ``assign.prior(anchors, assignment)``, with its graph. With P = score *
    objectness * exp(-box_weight * GIoU loss) and w+ = exp(3 P) prior / sum over the target:

    - positive: -log(sum of w+ P) per target, summed, / number of targets; gradients reach P, w+
      and the prior;
    - negative: q^2 * -log(1 - q) over all anchors and classes, q = score * objectness *
      background weight, summed, / sum of the prior (at least 1);
    - centre: number of targets / sum of the prior, per image, averaged: keeps the prior from
      collapsing.

    Source: Zhu et al., arXiv:2007.03496, eq. 3 to 7; MMDetection's constants. Deviation: a target
    without an anchor adds nothing (MMDetection: a constant 100 * positive_weight without
    gradient).
    """
    targets = assignment.targets
    boxes = unflip(predictions.boxes_at(assignment.anchor, assignment.labels))
    loss = 1 - giou(boxes, targets.boxes[assignment.target])
    score = pair_log_score(predictions, assignment)
    p = torch.exp(score - box_weight * loss)
    prior = prior.to(p.dtype)
    zeros = p.new_zeros(len(targets))
    share = torch.exp(3 * p) * prior
    total = zeros.index_add(0, assignment.target, share).clamp(min=1e-12)
    reached = zeros.index_add(0, assignment.target, p * share / total[assignment.target])
    real = torch.bincount(assignment.target, minlength=len(targets)) > 0
    reached = torch.where(real, reached, 1.0).clamp(min=torch.finfo(p.dtype).tiny, max=1)
    objects = per_rank((~targets.ignore).sum(), 1)
    negative = background_sum(predictions, assignment, scaled_focal(2.0))
    return {
        "positive": positive_weight * -reached.log().sum() / objects,
        "negative": negative_weight * negative / per_rank(prior.sum(), 1),
        "centre": centre_weight * _centre(assignment, prior),
    }


def _centre(assignment: Assignment, prior: Tensor) -> Tensor:
    """Targets per unit of prior, averaged over the images; an image without pairs counts 0."""
    targets = assignment.targets
    images = targets.batch_size
    mass = prior.new_zeros(images).index_add(0, targets.image[assignment.target], prior)
    count = torch.bincount(targets.image[~targets.ignore], minlength=images)
    some = torch.bincount(targets.image[assignment.target], minlength=images) > 0
    rate = torch.where(some, count / torch.where(some, mass, 1.0).clamp(min=1e-12), 0.0)
    return rate.sum() / per_rank(images, 1)
