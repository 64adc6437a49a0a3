"""VFNet: classes that say the IoU, from a star of points on a first box that is then refined."""

import math

from torch import Tensor, nn

from kedge.assign.atss import ATSS
from kedge.coders import LTRBCoder
from kedge.detectors.dense import Maps
from kedge.detectors.point_detector import STRIDES, Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, FirstBox, Varifocal, by_iou
from kedge.nn import StarHead


class VFNet(PointDetector):
    """VarifocalNet: ATSS's points, star-shaped features, a box in two steps.

    Varifocal loss, divided by the number of pairs; 1.5 times GIoU of the first boxes and twice that
    of the refined ones, each weighted by the boxes' IoU and divided by its sum. ATSS measures with
    squares of 8 strides, and such a square is what an untrained box is.

    Source: Zhang et al., arXiv:2008.13367; the authors' code. Deviation: there an untrained box has
    sides of 16 strides.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=ATSS(side=8.0),
            coder=LTRBCoder(activation="exp"),
            loss=DenseLoss(
                classes=Varifocal(), rescore=True,
                box=BoxOverlap(), box_weight=2.0, weigh_boxes=by_iou,
                extra={"first_box": FirstBox(weight=1.5)},
            ),
            start=math.log(4.0),
        )  # fmt: skip

    def make_layers(self, own: Parts, width: int, depth: int) -> nn.Module:
        self.check_coder(own)
        return StarHead(
            width, levels=len(STRIDES), outputs=self.outputs, depth=depth, prior=own.prior,
            start=own.start,
        )  # fmt: skip

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes, first = self.layers(self.pyramid(self.backbone(images)))
        return Maps(logits=logits, codes=codes, branches={"first_codes": first})
