"""AutoAssign: every point inside an object is a little positive; the training says how much."""

from kedge.assign.auto_assign import AutoAssign as Rule
from kedge.coders import LTRBCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, PredictedIoU


class AutoAssign(PointDetector):
    """FCOS's network with objectness in place of centre-ness, trained by AutoAssign's likelihood.

    The prior of every class is learned with the network. ``loss`` serves strategies that bring no
    likelihood, should one be given instead; objectness then learns the IoU.

    Source: Zhu et al., arXiv:2007.03496; MMDetection's constants: an untrained class score of 0.02,
    boxes of 8 strides. Deviation: points in the middle of their cells (MMDetection: the corner,
    ``offset=0``).
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=Rule(num_classes=num_classes),
            coder=LTRBCoder(),
            loss=DenseLoss(box=BoxOverlap(), quality=PredictedIoU(branch="objectness")),
            quality="objectness",
            prior=0.02,
            start=4.0,
        )
