"""TOOD: a head and an assignment that align what is a class and where its box is."""

from torch import Tensor, nn

from kedge.assign.tal import TAL
from kedge.coders import LTRBCoder
from kedge.detectors.dense import Maps
from kedge.detectors.point_detector import STRIDES, Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, QualityFocal, by_quality, per_quality
from kedge.nn import TaskHead


class TOOD(PointDetector):
    """Task-aligned one-stage detection: a task-aligned head, trained by TAL.

    Quality focal loss towards the alignment, divided by its sum; twice GIoU weighted by the
    alignment, divided by the same.

    Source: Feng et al., arXiv:2108.07755; MMDetection's constants. Deviation: TAL from the first
    step, where the authors begin with ATSS and focal loss for a third of the training.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            depth=6,
            assign=TAL(),
            coder=LTRBCoder(activation="none"),
            loss=DenseLoss(
                classes=QualityFocal(), class_normalise=per_quality,
                box=BoxOverlap(), box_weight=2.0, weigh_boxes=by_quality,
            ),
        )  # fmt: skip

    def make_layers(self, own: Parts, width: int, depth: int) -> nn.Module:
        self.check_coder(own)
        return TaskHead(
            width, levels=len(STRIDES), outputs=self.outputs, depth=depth, prior=own.prior
        )

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes = self.layers(self.pyramid(self.backbone(images)))
        return Maps(logits=logits, codes=codes)
