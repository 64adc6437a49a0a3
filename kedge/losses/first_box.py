"""The loss of boxes that a head says first and refines later."""

from dataclasses import dataclass, replace

from torch import Tensor

from kedge.losses.iou import giou_loss
from kedge.losses.quality_terms import iou_of_pairs
from kedge.ranks import per_rank
from kedge.types import Assignment, Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBox:
    """GIoU loss of the boxes of branch ``first_codes`` (..., D), which the same coder reads.

    Every pair counts with its ``weight`` times the IoU of its first box; the mean over these,
    times ``weight``. An extra term of ``DenseLoss``.

    Source: Zhang et al., arXiv:2008.13367, section 3.5 (VFNet).
    """

    weight: float = 1.5

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """() the mean, times the pairs' number, which ``DenseLoss`` divides by."""
        first = replace(predictions, codes=predictions.branches["first_codes"])
        boxes = first.boxes_at(assignment.anchor, assignment.labels)
        loss = giou_loss(boxes, assignment.boxes, reduction="none")
        share = assignment.weight * iou_of_pairs(first, assignment)
        mean = (share * loss).sum() / per_rank(share.sum(), 1e-6)
        return self.weight * mean * per_rank(assignment.weight.sum())
