"""GFL-tiny: generalized focal loss on a few depthwise layers, for processors without a GPU."""

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.assign.atss import ATSS
from kedge.coders import Coder, DistributionCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.losses import Loss, generalized_focal_loss
from kedge.nn import DepthwiseHead, DepthwisePAN
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64)


class GFLTiny(Dense):
    """A small detector of points, as NanoDet is: export it, quantise it, run it on a processor.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone: "tiny", "micro" (with ``width=32`` fewer than .2 million parameters in all), a
            name of timm's ("mobilenetv4_conv_small", "lcnet_100", "mobilenetv3_small_100"), another
            of ``BACKBONES``, or a module with maps of stride 8, 16, 32 (``kedge.nn.Backbone``).
        width: channels of neck and head; 96 as in NanoDet-Plus, with "tiny" 64, with "micro" 32.
        depth: convolutions of the head on every level.
        kernel: side of the depthwise convolutions.
        offset: where in its cell a point lies; 0.5 the middle.
        prior: what the untrained detector says of every class everywhere.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap; ``assign=DynamicSoftLabel()`` is
            NanoDet-Plus's choice.

    The loss is GFL's. ATSS measures with squares of 5 strides.

    Source: Li et al., arXiv:2006.04388; RangiLyu/nanodet, ``nanodet-plus-m_320.yml`` (no paper).
    Deviations: a plain depthwise PAN for its ghost blocks; no guidance by a second head.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        width: int | None = None,
        depth: int = 2,
        kernel: int = 5,
        offset: float = 0.5,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        coder = DistributionCoder(reg_max=7) if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride, offset=offset) for stride in STRIDES],
            assign=ATSS(side=5.0) if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=generalized_focal_loss() if loss is None else loss,
            selection=Selection(suppress=NMS(threshold=0.6)) if selection is None else selection,
            multiple=32,
        )
        if width is None:
            own = {"tiny": 64, "micro": 32}
            width = own.get(backbone, 96) if isinstance(backbone, str) else 96
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.neck = DepthwisePAN(self.backbone.channels, width, kernel=kernel)
        self.layers = DepthwiseHead(
            width,
            levels=len(STRIDES),
            outputs=self.loss.class_scores.outputs(num_classes),
            code_size=coder.code_size,
            depth=depth,
            kernel=kernel,
            prior=prior,
        )

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes = self.layers(self.neck(self.backbone(images)))
        return Maps(logits=logits, codes=codes)
