"""The likelihood of FreeAnchor: each bag has a good anchor, and what matches nothing is
background.
"""

import torch
from torch import Tensor

from kedge.losses.background import background_sum, pair_log_score, scaled_focal
from kedge.losses.box_terms import residual_of_pairs
from kedge.losses.mean_max import mean_max
from kedge.losses.smooth_l1 import smooth_l1_loss
from kedge.ranks import per_rank
from kedge.types import Assignment, Predictions


def free_anchor_loss(
    predictions: Predictions,
    assignment: Assignment,
    *,
    alpha: float = 0.5,
    gamma: float = 2.0,
    box_weight: float = 0.75,
    beta: float = 0.11,
    bag_size: int = 50,
) -> dict[str, Tensor]:
    """``{"positive", "negative"}``, to be added, for the bags of ``FreeAnchor`` or ``MAL``.

    positive = alpha / objects * sum over bags of -log mean-max(P_cls * P_loc), with
    P_loc = exp(-box_weight * smooth-L1 of the box codes, summed). negative = (1 - alpha) /
    (bag_size * objects) * sum over anchors and classes of q^gamma * -log(1 - q), q = P_cls * the
    assignment's background weight. Both are 0, connected to the graph, without objects or anchors.

    Raises ValueError when the predictions are decoded boxes: the rule compares box codes.

    Source: Zhang et al., arXiv:1909.02466, eq. 10. Deviations: a bag without anchors adds nothing;
    ignored anchors are no background.
    """
    objects = per_rank((~assignment.targets.ignore).sum(), 1)
    score = pair_log_score(predictions, assignment).exp() * localisation(
        predictions, assignment, box_weight, beta
    )
    bags = mean_max(score, assignment.target, len(assignment.targets))
    real = torch.bincount(assignment.target, minlength=len(bags)) > 0
    bags = torch.where(real, bags, 1.0)  # an empty bag: log 1 = 0
    negative = background_sum(predictions, assignment, scaled_focal(gamma))
    return {
        "positive": alpha * -bags.clamp(min=torch.finfo(bags.dtype).tiny).log().sum() / objects,
        "negative": (1 - alpha) * negative / (bag_size * objects),
    }


def localisation(
    predictions: Predictions, assignment: Assignment, box_weight: float, beta: float
) -> Tensor:
    """(P,) ``exp(-box_weight * smooth-L1)`` of what the codes are off by."""
    off = residual_of_pairs(predictions, assignment)
    loss = smooth_l1_loss(off, torch.zeros_like(off), beta=beta, reduction="none").sum(-1)
    return torch.exp(-box_weight * loss)
