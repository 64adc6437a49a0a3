"""PAA: one square anchor a cell, a mixture that splits good from bad, and an IoU branch."""

from kedge.assign.paa import PAA as Rule
from kedge.coders import DeltaCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, PredictedIoU, by_iou
from kedge.select import NMS, ScoreVoting, Selection


class PAA(PointDetector):
    """The network of ATSS, whose third output predicts the box's IoU; boxes that stay are voted on.

    Focal loss and half the cross-entropy of the IoU, divided by the number of pairs; 1.3 times GIoU
    weighted by the IoU, divided by its sum. It reaches learned shapes.

    Source: Kim and Lee, arXiv:2007.08103; the authors' code.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            square=8.0,
            assign=Rule(),
            coder=DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2)),
            loss=DenseLoss(
                box=BoxOverlap(), box_weight=1.3, weigh_boxes=by_iou,
                quality=PredictedIoU(), quality_weight=0.5,
            ),
            selection=Selection(suppress=NMS(threshold=0.6), vote=ScoreVoting()),
            quality="iou",
        )  # fmt: skip
