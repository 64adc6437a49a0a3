"""YOLOX: one point a cell, a decoupled head with objectness, SimOTA."""

from functools import partial

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.assign.sim_ota import SimOTA
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.losses import BoxOverlap, CrossEntropy, DenseLoss, Loss, Objectness, iou_loss
from kedge.nn import DecoupledHead, PathAggregation
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32)


class YOLOX(Dense):
    """YOLOX, without anchor boxes.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone: "tiny", "cspdarknet_s" (as published; also _tiny, _m, _l, _x), another of
            ``BACKBONES``, a name of timm's, or a module with maps of stride 8, 16, 32
            (``kedge.nn.Backbone``).
        width: channels of neck and head, the same on all levels; that of the finest map by default
            (128 for cspdarknet_s).
        depth: blocks of every CSP layer of the neck; 1 is tiny's and s's, 2 m's, 3 l's, 4 x's.
        prior: what the untrained detector says of every class, and of objectness, everywhere.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    A code is (x, y) in strides from the cell's corner and the logarithm of (w, h) in strides:
    ``DeltaCoder`` on squares of one stride, its mean half a stride.

    Losses: ``box``, 5 (1 - IoU^2); ``objectness``, cross-entropy towards 1 at the pairs and 0
    elsewhere; ``classification``, cross-entropy at the pairs towards the IoU at the object's class.
    All are divided by the number of pairs, at least 1.

    Source: Ge et al., arXiv:2107.08430, and the released code. Deviations: the L1 loss of the last
    epochs is left out, as are mosaic and mix-up; sizes stop at 62.5 strides.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        width: int | None = None,
        depth: int = 1,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        coder = DeltaCoder(means=(-0.5, -0.5, 0.0, 0.0)) if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride) for stride in STRIDES],
            assign=SimOTA() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=yolox_loss() if loss is None else loss,
            selection=Selection(score=0.01, suppress=NMS(threshold=0.65))
            if selection is None
            else selection,
            multiple=32,
        )
        self.backbone = make_backbone(backbone, strides=STRIDES, pretrained=pretrained)
        width = self.backbone.channels[0] if width is None else width
        self.neck = PathAggregation(self.backbone.channels, width, blocks=depth)
        outputs = self.loss.class_scores.outputs(num_classes)
        self.outputs = DecoupledHead(width, outputs, code_size=coder.code_size, prior=prior)

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes, objectness = self.outputs(self.neck(self.backbone(images)))
        assert objectness is not None, "this head has an objectness branch"
        return Maps(logits=logits, codes=codes, branches={"objectness": objectness})


def yolox_loss() -> DenseLoss:
    """The loss of ``YOLOX``."""
    return DenseLoss(
        classes=CrossEntropy(),
        box=BoxOverlap(partial(iou_loss, form="square")),
        objectness=Objectness(by_quality=False),
        box_weight=5.0,
    )
