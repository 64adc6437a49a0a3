"""The loss of GFL, whose classes say how good a box is, and whose sides are distributions."""

from kedge.losses.box_terms import BoxOverlap, Distribution
from kedge.losses.class_terms import QualityFocal
from kedge.losses.dense import DenseLoss
from kedge.losses.quality_terms import by_score


def generalized_focal_loss() -> DenseLoss:
    """GFL's: quality focal loss of the classes, divided by the number of pairs; twice GIoU and a
    quarter of the distribution focal loss, weighted by the largest class score, divided by its sum.

    Source: Li et al., arXiv:2006.04388; the authors' code.
    """
    return DenseLoss(
        classes=QualityFocal(), rescore=True, box=Distribution(BoxOverlap()), weigh_boxes=by_score
    )
