"""DW: every point inside an object has a weight as positive and another as background."""

from torch import nn

from kedge.assign.dw import DW as Rule
from kedge.coders import LTRBCoder
from kedge.detectors.point_detector import STRIDES, Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, PredictedIoU
from kedge.nn import RefinedPointHead


class DW(PointDetector):
    """Dual weighting on FCOS's network with objectness, and boxes refined at their own sides.

    Trained by the likelihood of the two weights. ``loss`` serves strategies that bring none, should
    one be given instead; objectness then learns the IoU.

    Source: Li et al., arXiv:2203.09730; the authors' code: an untrained class score of 0.02, boxes
    of 8 strides.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=Rule(),
            coder=LTRBCoder(),
            loss=DenseLoss(box=BoxOverlap(), quality=PredictedIoU(branch="objectness")),
            quality="objectness",
            prior=0.02,
            start=4.0,
        )

    def make_layers(self, own: Parts, width: int, depth: int) -> nn.Module:
        self.check_coder(own)
        return RefinedPointHead(
            width, levels=len(STRIDES), outputs=self.outputs, depth=depth, prior=own.prior,
            start=own.start,
        )  # fmt: skip
