"""ATSS: one square anchor a cell, and a threshold that every object sets for itself."""

from kedge.assign.atss import ATSS as Rule
from kedge.coders import DeltaCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import BoxOverlap, Centreness, DenseLoss, by_centreness


class ATSS(PointDetector):
    """FCOS's network on square anchors of 8 strides, assigned by ATSS.

    Focal loss and centre-ness, divided by the number of pairs; twice GIoU weighted by centre-ness,
    divided by its sum. It reaches learned shapes.

    Source: Zhang et al., arXiv:1912.02424, section 4; the authors' code.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            square=8.0,
            assign=Rule(),
            coder=DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2)),
            loss=DenseLoss(
                box=BoxOverlap(), box_weight=2.0, weigh_boxes=by_centreness, quality=Centreness()
            ),
            quality="centreness",
        )
