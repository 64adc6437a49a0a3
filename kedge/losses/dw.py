"""The loss of dual weighting."""

from torch import Tensor

from kedge.boxes import giou, unflip
from kedge.losses.background import background_sum, pair_log_score, weighted_focal
from kedge.ranks import per_rank
from kedge.types import Assignment, Predictions


def dw_loss(
    predictions: Predictions,
    assignment: Assignment,
    *,
    box_weight: float = 5.0,
    positive_weight: float = 0.25,
) -> dict[str, Tensor]:
    """``{"positive", "box", "negative"}``, to be added, for the pairs and weights of ``DW``.

    positive: weight * -log(score * objectness); box: weight * box_weight * GIoU loss, which is
    -log of P_loc = exp(-box_weight * GIoU loss); both summed, * positive_weight / number of
    targets. negative: background weight * p^2 * -log(1 - p) over all anchors and classes, summed,
    / the sum of 1 - background weight (at least 1). The weights carry no gradient, p^2 does.

    Source: Li et al., arXiv:2203.09730, eq. 8 and 9; the authors' code.
    """
    targets, weight = assignment.targets, assignment.weight
    boxes = unflip(predictions.boxes_at(assignment.anchor, assignment.labels))
    loss = 1 - giou(boxes, targets.boxes[assignment.target])
    score = pair_log_score(predictions, assignment)
    scale = positive_weight / per_rank((~targets.ignore).sum(), 1)
    negative = background_sum(predictions, assignment, weighted_focal(2.0))
    listed = assignment.background_weight
    count = loss.new_zeros(()) if listed is None else (1 - listed.weight).sum()
    return {
        "positive": scale * (weight * -score).sum(),
        "box": scale * box_weight * (weight * loss).sum(),
        "negative": negative / per_rank(count, 1),
    }
