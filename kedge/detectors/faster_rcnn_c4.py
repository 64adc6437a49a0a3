"""Faster R-CNN on one map: proposals from conv4 of a ResNet, conv5 on every region."""

from collections.abc import Sequence
from typing import Literal

from kedge.coders import Coder
from kedge.detectors.backbones import cut_backbone
from kedge.detectors.levels import Shapes
from kedge.detectors.one_map import OnOneMap
from kedge.detectors.region_parts import (
    proposal_selection,
    region_head,
    region_proposals,
    region_selection,
)
from kedge.losses import Loss
from kedge.nn import BlockMean, RoIPool
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner


class FasterRCNNC4(OnOneMap):
    """Faster R-CNN as it was before feature pyramids: one map of stride 16 for everything.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for the one level; None: squares of 32 to 512 pixels at
            h_over_w 1/2, 1, 2.
        backbone: "tiny" or one of torchvision's ResNets ("resnet50"), whose last block reads the
            regions.
        learn: make the shapes parameters; the proposals' box loss reaches them.
        offset: where in its cell an anchor's centre lies.
        pool: features of a region, "roi_align" or "roi_pool".
        class_specific: a box for every class.
        pretrained: download torchvision's weights.
        assign, sample, coder, loss: parts of the first stage; ``selection`` of the second. Those of
            ``proposals`` and ``regions`` can be swapped.

    With "tiny" both stages sample fewer boxes, for a CPU: 64 anchors, 48 of 100 proposals; a region
    is 8 x 8 cells, not 14 x 14.

    Source: Ren et al., arXiv:1506.01497; He et al., arXiv:1512.03385; constants of Detectron2's C4
    configurations (15 anchors, aligned RoIAlign with as many points as there are cells; the
    original has 9 anchors, RoIPool and 300 proposals). Deviation: smooth L1 of beta 1/9 as in
    torchvision.
    """

    published = "faster_rcnn_c4"

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str = "tiny",
        learn: bool = False,
        offset: float = 0.0,
        pool: Literal["roi_align", "roi_pool"] = "roi_align",
        class_specific: bool = True,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        trunk, block, channels = cut_backbone(backbone, pretrained=pretrained)
        super().__init__(
            num_classes=num_classes, trunk=trunk, shapes=shapes, learn=learn, offset=offset
        )
        self.proposals = region_proposals(
            trunk.channels[0], len(self.shapes), size=64 if tiny else 256,
            training=proposal_selection(500, 100) if tiny else proposal_selection(12000, 2000),
            testing=proposal_selection(500, 100) if tiny else proposal_selection(6000, 1000),
            assign=assign, sample=sample, coder=coder, loss=loss,
        )  # fmt: skip
        codes = 4 * num_classes if class_specific else 4
        self.regions = region_head(
            RoIPool(trunk.strides, size=8 if tiny else 14, kind=pool, sampling=0, aligned=True),
            BlockMean(block, channels, classes=num_classes + 1, codes=codes),
            num_classes=num_classes,
            size=48 if tiny else 512,
            selection=region_selection() if selection is None else selection,
        )
