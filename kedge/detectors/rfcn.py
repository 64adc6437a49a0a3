"""R-FCN: nothing is computed for a region but a vote over maps that know parts of objects."""

from collections.abc import Sequence

from torch import Tensor

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
from kedge.losses import CodeL1, DenseLoss, Loss, SoftmaxCrossEntropy, per_sampled
from kedge.nn import PositionMaps, Vote
from kedge.sample import OHEM, Sample, Sampler
from kedge.select import Selection
from kedge.types import Assigner, Assignment


def twice_sampled(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """What R-FCN divides its box losses by: 256 where 128 regions of an image are sampled."""
    return 2 * per_sampled(assignment, sample, num_classes)


class RFCN(OnOneMap):
    """R-FCN on one map of stride 16.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for the one level; None: the nine of the
            original Faster R-CNN, of 128 to 512 pixels.
        backbone: "tiny" or one of torchvision's ResNets from resnet50 on, whose last block is
            dilated.
        learn: make the shapes parameters; the proposals' box loss reaches them.
        offset: where in its cell an anchor's centre lies.
        size: parts of a region a side.
        width: channels below the position-sensitive maps; 1,024, with "tiny" 64.
        pretrained: download torchvision's weights.
        assign, sample, coder, loss: parts of the first stage; ``selection`` of the second. Those of
            ``proposals`` and ``regions`` can be swapped.

    The second stage learns from the 128 regions of an image that cost most (OHEM), of all
    proposals. With "tiny" from 48 of 100, and the first stage from 64 anchors.

    Source: Dai et al., arXiv:1605.06409; constants of the authors' code (7 x 7 parts, one box for
    all classes, smooth L1 of beta 1 divided by twice the sample, NMS at .3).
    """

    published = "py_faster_rcnn"

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str = "tiny",
        learn: bool = False,
        offset: float = 0.5,
        size: int = 7,
        width: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        trunk, block, channels = cut_backbone(backbone, pretrained=pretrained, dilated=True)
        super().__init__(
            num_classes=num_classes, trunk=trunk, shapes=shapes, learn=learn, offset=offset
        )
        chosen = proposal_selection(500, 100) if tiny else proposal_selection(6000, 300)
        self.proposals = region_proposals(
            trunk.channels[0], len(self.shapes), size=64 if tiny else 256, training=chosen,
            testing=chosen, assign=assign, sample=sample, coder=coder, loss=loss,
        )  # fmt: skip
        width = (64 if tiny else 1024) if width is None else width
        sampled = 48 if tiny else 128
        self.regions = region_head(
            PositionMaps(block, channels, width, classes=num_classes + 1, codes=4, size=size),
            Vote(num_classes + 1),
            num_classes=num_classes,
            size=sampled,
            sample=OHEM(size=sampled),
            loss=DenseLoss(
                classes=SoftmaxCrossEntropy(), box=CodeL1(beta=1.0),
                normalise=twice_sampled, class_normalise=per_sampled,
            ),
            selection=region_selection(0.3) if selection is None else selection,
        )  # fmt: skip
