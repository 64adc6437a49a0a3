"""RefineDet: anchors that a first step filters and moves, and a second one that classifies them."""

from collections.abc import Sequence

from torch import Tensor, nn

from kedge.anchors import LearnedShapes
from kedge.anchors.presets import ratio_shapes
from kedge.assign.ssd_match import SSDMatch
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.levels import Shapes, levels_of
from kedge.detectors.refinement import RefinedHead, Refining
from kedge.detectors.region_parts import proposal_selection
from kedge.detectors.regions import RegionProposals
from kedge.losses import Loss, multibox_loss
from kedge.nn import VGG16, Extended, MultiBoxHead, TransferConnection, halving_block, ssd_block
from kedge.sample import HardNegatives, Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64)


class RefineDet(Refining):
    """RefineDet with fixed or learned anchors.

    ``proposals``, the anchor refinement module, says of every anchor whether there is an object,
    and where; ``regions``, the object detection module, says of every anchor so moved of which
    class it is, and where exactly. Parts of both can be swapped.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for each of the strides 8, 16, 32, 64, of any length;
            None: the published 3, of 4 strides at h_over_w 1, 1/2, 2.
        backbone: "tiny", a name of timm's, or a module, with maps of stride 8, 16 and 32, behind
            which one more is made; or "vgg16", as published (320 x 320 or 512 x 512 pixels, but any
            size will do).
        learn: make the shapes parameters; the box loss of ``proposals`` reaches them.
        offset: where in its cell an anchor's centre lies.
        width: channels of the maps that ``regions`` reads; 256, with "tiny" 64.
        pretrained: download the backbone's weights.
        assign, sample, coder, loss: parts of ``proposals``; ``selection`` of ``regions``.

    Source: Zhang et al., arXiv:1711.06897; sfzhang15/RefineDet VGG16_VOC2012_320.py. Deviations:
    those of ``SSD``, but the matching is the authors'.
    """

    published = "refinedet"

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
        if shapes is None:
            shapes = [ratio_shapes([4.0 * s], (1.0, 0.5, 2.0)) for s in STRIDES]
        levels = levels_of("RefineDet", STRIDES, shapes, offset)
        super().__init__(
            num_classes=num_classes, strides=STRIDES, shapes=LearnedShapes(levels, learn=learn),
            multiple=STRIDES[-1], smallest=STRIDES[0],
        )  # fmt: skip
        width = width or (64 if backbone == "tiny" else 256)
        if backbone == "vgg16":
            norms = {8: 10.0, 16: 8.0}
            body = VGG16(STRIDES[:3], fc7=32, norms=norms, pretrained=pretrained)
            self.backbone = Extended(body, [(512, ssd_block)])
        else:
            body = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
            self.backbone = Extended(body, [(2 * width, halving_block)])
        counts, deltas = [len(level) for level in shapes], DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))
        coder, last = deltas if coder is None else coder, multibox_loss()
        loss = multibox_loss() if loss is None else loss
        self.proposals = RegionProposals(
            MultiBoxHead(
                self.backbone.channels, counts,
                classes=loss.class_scores.outputs(1), codes=coder.code_size,
            ),
            assign=SSDMatch(first="greedy") if assign is None else assign,
            sample=HardNegatives() if sample is None else sample,
            coder=coder,
            loss=loss,
            training=proposal_selection(1000, 1000),
            testing=proposal_selection(1000, 1000),
        )  # fmt: skip
        rules = Selection(
            score=0.01, top="class", candidates=1000, suppress=NMS(threshold=0.45), most=500
        )
        outputs = last.class_scores.outputs(num_classes)
        self.regions = RefinedHead(
            nn.Sequential(
                TransferConnection(self.backbone.channels, width),
                MultiBoxHead([width] * 4, counts, classes=outputs, codes=deltas.code_size),
            ),
            num_classes=num_classes,
            assign=SSDMatch(first="greedy"),
            sample=HardNegatives(),
            coder=deltas,
            loss=last,
            selection=rules if selection is None else selection,
        )

    def features(self, images: Tensor) -> list[Tensor]:
        return self.backbone(images)
