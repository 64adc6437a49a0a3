"""YOLOF: one level, an encoder that sees all sizes on it, equally many positives an object."""

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.assign.uniform import Uniform
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, of_one_level
from kedge.losses import BoxOverlap, DenseLoss, Focal, Loss, giou_loss
from kedge.nn import DilatedEncoder, YolofDecoder
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner


class YOLOF(Dense):
    """YOLOF with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: (A, 2) anchor shapes (w, h) in pixels, or a list of this one level's; None: squares
            of 1, 2, 4, 8 and 16 strides (32 to 512 px as published).
        backbone: "tiny", a name of timm's ("resnet50" as published), another of ``BACKBONES``, or a
            module with a map of ``stride`` (``kedge.nn.Backbone``).
        stride: step of the one map; 32 as published, 16 with "tiny".
        learn: make the shapes parameters.
        offset: where in its cell an anchor's centre lies; 0 as in MMDetection, 0.5 the middle.
        width: channels of encoder and decoder; 512, with "tiny" 64.
        prior: what the untrained classes say everywhere, before objectness halves it.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    Codes are deltas whose centre shift stops at 32 px. Losses: ``classification``, focal on every
    anchor that is not ignored; ``box``, GIoU of the pairs. Both are divided by the number of pairs,
    at least 1. Shapes learn from ``box`` alone.

    Source: Chen et al., arXiv:2103.09460, and the released code. Deviations: those of ``Uniform``;
    an anchor that is near both as such and by its prediction counts once in the box loss
    (MMDetection: twice), and an image without objects adds none to the count (MMDetection: one).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Shapes | list[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        learn: bool = False,
        offset: float = 0.0,
        width: int | None = None,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        if stride is None:
            stride = 16 if tiny else 32
        if shapes is None:
            sides = [float(stride * cells) for cells in (1, 2, 4, 8, 16)]
            shapes = [(side, side) for side in sides]
        shapes = of_one_level("YOLOF", shapes)
        coder = DeltaCoder(centre_clamp=32.0) if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride, shapes=shapes, offset=offset)],
            learn=learn,
            assign=Uniform() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=DenseLoss(classes=Focal(), box=BoxOverlap(giou_loss)) if loss is None else loss,
            selection=Selection(suppress=NMS(threshold=0.6)) if selection is None else selection,
            multiple=stride,
        )
        self.backbone = make_backbone(backbone, strides=(stride,), pretrained=pretrained)
        width = (64 if tiny else 512) if width is None else width
        self.encoder = DilatedEncoder(self.backbone.channels[0], width)
        self.decoder = YolofDecoder(
            width,
            len(shapes),
            self.loss.class_scores.outputs(num_classes),
            code_size=coder.code_size,
            prior=prior,
        )

    def predict_maps(self, images: Tensor) -> Maps:
        (deepest,) = self.backbone(images)
        logits, codes = self.decoder(self.encoder(deepest))
        return Maps(logits=logits, codes=codes)
