"""RTMDet: large kernels, convolutions shared by all levels, soft labels from dynamic costs."""

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.coders import Coder, LTRBCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.losses import (
    BoxOverlap,
    DenseLoss,
    Loss,
    QualityFocal,
    by_quality,
    giou_loss,
    per_quality,
)
from kedge.nn import DecoupledHead, PathAggregation
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32)


class RTMDet(Dense):
    """RTMDet, without anchor boxes.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone: "tiny", "cspnext_s" (as published; also _tiny, _m, _l, _x), another of
            ``BACKBONES``, a name of timm's, or a module with maps of stride 8, 16, 32
            (``kedge.nn.Backbone``).
        width: channels of neck and head, the same on all levels; that of the finest map by default
            (128 for cspnext_s).
        depth: blocks of every CSP layer of the neck; 1 is tiny's and s's, 2 m's, 3 l's, 4 x's.
        offset: where in its cell a point lies; 0 as released, 0.5 the middle.
        prior: what the untrained detector says of every class everywhere.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    A code is the logarithm of the distances to the four sides, in strides. The head's convolutions
    are shared by all levels, batch norm and outputs are not.

    Losses: ``classification``, quality focal loss towards the IoU that the assignment saw, divided
    by the sum of these IoUs, at least 1; ``box``, 2 GIoU, weighted by them and divided by their
    sum.

    Source: Lyu et al., arXiv:2212.07784, and the released code. Deviations: the released tiny and
    s sizes take distances without the logarithm; the box loss there is divided by at least 1.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        width: int | None = None,
        depth: int = 1,
        offset: float = 0.0,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        coder = LTRBCoder(activation="exp") if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride, offset=offset) for stride in STRIDES],
            assign=DynamicSoftLabel() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=rtmdet_loss() if loss is None else loss,
            selection=Selection(score=0.001, suppress=NMS(threshold=0.65), most=300)
            if selection is None
            else selection,
            multiple=32,
        )
        self.backbone = make_backbone(backbone, strides=STRIDES, pretrained=pretrained)
        width = self.backbone.channels[0] if width is None else width
        self.neck = PathAggregation(
            self.backbone.channels, width, blocks=depth, large=True, kernel=3
        )
        self.outputs = DecoupledHead(
            width,
            self.loss.class_scores.outputs(num_classes),
            code_size=coder.code_size,
            objectness=False,
            shared=True,
            prior=prior,
        )

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes, _ = self.outputs(self.neck(self.backbone(images)))
        return Maps(logits=logits, codes=codes)


def rtmdet_loss() -> DenseLoss:
    """The loss of ``RTMDet``."""
    return DenseLoss(
        classes=QualityFocal(),
        box=BoxOverlap(giou_loss),
        weigh_boxes=by_quality,
        normalise=per_quality,
        box_weight=2.0,
    )
