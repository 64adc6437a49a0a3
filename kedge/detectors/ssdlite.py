"""SSDLite: SSD of separable convolutions, for small devices."""

from collections.abc import Sequence

from torch import nn

from kedge.anchors.presets import preset, ssd_shapes
from kedge.coders import Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.levels import Shapes, levels_of
from kedge.detectors.multibox import MultiBox
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.detectors.torchvision_weights.ssd import SSDLiteConversion
from kedge.losses import Loss
from kedge.nn import Extended, MobileNetV3, lite_block
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64, 128)


class SSDLite(Convertible, MultiBox):
    """SSDLite with fixed or learned anchors: see ``SSD``.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for each level, of any length; None: with
            "mobilenet_v3_large" torchvision's 6 of every level, else 6: squares of 3 and 4.2
            strides, 3 strides at h_over_w 1/2, 2, 1/3, 3.
        backbone: "tiny", a name of timm's, or a module, with maps of stride 8, 16 and 32, behind
            which two more are made; or "mobilenet_v3_large", torchvision's form, made for images of
            320 x 320 (smaller ones are padded), with two maps and four more.
        learn: make the shapes parameters, level by level.
        offset: where in its cell an anchor's centre lies.
        width: channels of the maps behind the backbone's; 256 (the first of four has twice, the
            last half as many), with "tiny" 64.
        pretrained: download the backbone's weights.
        assign, sample, coder, loss, selection: parts to swap.

    Source: Sandler et al., arXiv:1801.04381, section 6.2; Howard et al., arXiv:1905.02244, section
    6.3; constants of torchvision ssdlite.py. Deviations: those of ``SSD``.
    """

    published = "ssdlite320"
    conversion = SSDLiteConversion()

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.5,
        width: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        mobile = backbone == "mobilenet_v3_large"
        width = width or (64 if backbone == "tiny" else 256)
        if mobile:
            strides, published = zip(*preset("ssdlite320").levels)
            body, widths = MobileNetV3(pretrained=pretrained), (2 * width, width, width, width // 2)
        else:
            sizes = [3.0 * s for s in STRIDES], [6.0 * s for s in STRIDES]
            strides, published = STRIDES, ssd_shapes(*sizes, [(2, 3)] * 5)
            body = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
            widths = (width, width)
        rules = Selection(
            score=0.001, top="class", candidates=300, suppress=NMS(threshold=0.55), most=300
        )
        super().__init__(
            num_classes=num_classes,
            levels=levels_of("SSDLite", strides, published if shapes is None else shapes, offset),
            body=Extended(body, [(own, lite_block) for own in widths]),
            side=320 if mobile else None,
            lite=True,
            learn=learn,
            assign=assign,
            sample=sample,
            coder=coder,
            loss=loss,
            selection=rules if selection is None else selection,
        )
