"""SSD: shapes of their own on every level, softmax with background, the hardest negatives."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from kedge.anchors.presets import preset, ssd_shapes
from kedge.coders import Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.levels import Shapes, levels_of
from kedge.detectors.multibox import MultiBox
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.detectors.torchvision_weights.ssd import SSDConversion
from kedge.losses import Loss
from kedge.nn import VGG16, Extended, halving_block, ssd_block
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64, 128)
_CUT = partial(ssd_block, stride=1, padding=0)
_LAST = partial(ssd_block, kernel=4, stride=1)
_BEHIND = {300: (ssd_block, ssd_block, _CUT, _CUT), 512: (*[ssd_block] * 4, _LAST)}


class SSD(Convertible, MultiBox):
    """SSD with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        size: 300 or 512, the side of the images that the published networks are made for; smaller
            ones are padded. With "vgg16" alone, where it is 300 unless said.
        shapes: one list of (w, h) in pixels for each level, of any length; None: with "vgg16" the
            published 4 or 6 of every level, else 4: squares of 3 and 4.2 strides, 3 strides at
            h_over_w 1/2 and 2.
        backbone: "tiny", a name of timm's, or a module, with maps of stride 8, 16 and 32, behind
            which two more are made; or "vgg16", as published (six maps, seven for 512).
        learn: make the shapes parameters, level by level.
        offset: where in its cell an anchor's centre lies.
        width: channels of the maps behind the backbone's; 256 (the first behind VGG has twice as
            many), with "tiny" 64.
        pretrained: download the backbone's weights.
        assign, sample, coder, loss, selection: parts to swap.

    Learned shapes: the codes of a size are its logarithm divided by .2, and so is the gradient of
    the shapes: with plain SGD they want a fifth of the learning rate that they have elsewhere.

    Source: Liu et al., arXiv:1512.02325; torchvision ssd.py, MMDetection ssd512.py (the layers
    behind fc7). Deviations: images are letterboxed or padded, not warped; an image without objects
    teaches its 16 hardest negatives (torchvision: none, ``HardNegatives(empty_image=0)``); each
    object takes its own best anchor, as in torchvision (``SSDMatch(first="greedy")`` is the
    authors'); batch norm and leaky ReLU behind other backbones than VGG.
    """

    published = "ssd300"
    conversion = SSDConversion()

    def __init__(
        self,
        *,
        num_classes: int,
        size: int | None = None,
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
        vgg, width = backbone == "vgg16", width or (64 if backbone == "tiny" else 256)
        size = 300 if vgg and size is None else size
        if size not in ((300, 512) if vgg else (None,)):
            raise ValueError(f"size: 300 or 512 with vgg16, no other backbone has one; got {size}")
        if vgg and size is not None:
            strides, published = zip(*preset(f"ssd{size}").levels)
            body = VGG16((8, 16), fc7=16, norms={8: 20.0}, pretrained=pretrained)
            blocks = list(zip((2 * width, *[width] * 4), _BEHIND[size]))
        else:
            sizes = [3.0 * s for s in STRIDES], [6.0 * s for s in STRIDES]
            strides, published = STRIDES, ssd_shapes(*sizes, [(2,)] * 5)
            body = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
            blocks = [(width, halving_block)] * 2
        rules = Selection(
            score=0.01, top="class", candidates=400, suppress=NMS(threshold=0.45), most=200
        )
        super().__init__(
            num_classes=num_classes,
            levels=levels_of("SSD", strides, published if shapes is None else shapes, offset),
            body=Extended(body, blocks),
            side=size,
            learn=learn,
            assign=assign,
            sample=sample,
            coder=coder,
            loss=loss,
            selection=rules if selection is None else selection,
        )
