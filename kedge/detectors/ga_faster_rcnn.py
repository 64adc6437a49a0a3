"""GA-Faster R-CNN: Faster R-CNN whose proposals come from guided anchors."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from kedge.coders import Coder
from kedge.detectors.guided_proposals import GuidedProposer
from kedge.detectors.levels import Shapes
from kedge.detectors.region_parts import proposal_selection, region_coder, region_head
from kedge.detectors.two_stage import TwoStage
from kedge.losses import Loss
from kedge.nn import RoIPool, TwoMLP
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner


class GAFasterRCNN(GuidedProposer, TwoStage):
    """Faster R-CNN with FPN on guided anchors. Better proposals allow for fewer and for stricter
    pairs: 300 of them, IoU .6, codes half as wide.

    Args: those of ``GARPN`` for the first stage, those of ``FasterRCNN`` for the second; with
    "tiny" 64 anchors and 48 of 100 proposals are sampled.

    Source: Wang et al., arXiv:1901.03278, section 3.6; constants of MMDetection.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        square: float = 8.0,
        offset: float = 0.0,
        pool: Literal["roi_align", "roi_pool"] = "roi_align",
        width: int | None = None,
        hidden: int | None = None,
        class_specific: bool = True,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        few = proposal_selection(*((500, 100) if tiny else (2000, 300)))
        super().__init__(
            num_classes=num_classes, shapes=shapes, backbone=backbone, square=square,
            offset=offset, width=width, pretrained=pretrained, training=few, testing=few,
            assign=assign, sample=sample, coder=coder, loss=loss,
        )  # fmt: skip
        hidden = (128 if tiny else 1024) if hidden is None else hidden
        codes = 4 * num_classes if class_specific else 4
        strides = tuple(int(stride) for stride in self.strides[:-1])
        usual = Selection(score=1e-3, candidates=None, min_side=1e-2)
        self.regions = region_head(
            RoIPool(strides, kind=pool, canonical=64.0 if tiny else 224.0),
            TwoMLP(49 * self.width, hidden, classes=num_classes + 1, codes=codes),
            num_classes=num_classes,
            size=48 if tiny else 256,
            positive=0.6,
            coder=region_coder(narrow=2.0),
            selection=usual if selection is None else selection,
        )
