"""GA-RPN: a region proposal network on guided anchors, alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kedge.coders import Coder
from kedge.detectors.guided_proposals import GuidedProposer
from kedge.detectors.levels import Shapes
from kedge.detectors.region_parts import proposal_selection
from kedge.detectors.stage import Outcome
from kedge.losses import Loss
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner, Detections, Targets


class GARPN(GuidedProposer):
    """A detector of objects whatever their class: what it finds is of class 0. Of several classes
    read its recall (AR@k), not its AP.

    Args:
        num_classes: C; labels are 0 ... C - 1, and all mean "an object".
        shapes: one list of (w, h) in pixels for each level, equally many: the shapes by which it is
            found out which cells can hold an object's anchor; no anchors. None: nine, of areas 8,
            10.1 and 12.7 strides squared at h_over_w 1/2, 1, 2. Levels are the backbone's maps, and
            one of twice the last stride.
        backbone: "tiny" (maps of stride 8, 16, 32), a name of timm's (4, 8, 16, 32), or a module.
        square: side in strides of the squares that anchors grow from.
        offset: where in its cell an anchor's centre lies.
        width: channels of the pyramid; 256, with "tiny" 64.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap; a strategy works on lists of boxes
            here, so that one that needs cells is refused. ``proposals.guidance`` holds those of the
            anchors.

    Source: Wang et al., arXiv:1901.03278; constants of MMDetection.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        square: float = 8.0,
        offset: float = 0.0,
        width: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        usual = proposal_selection(*((500, 100) if backbone == "tiny" else (2000, 1000)))
        super().__init__(
            num_classes=num_classes, shapes=shapes, backbone=backbone, square=square,
            offset=offset, width=width, pretrained=pretrained, training=usual,
            testing=usual if selection is None else selection,
            assign=assign, sample=sample, coder=coder, loss=loss,
        )  # fmt: skip

    @property
    def selection(self) -> Selection:
        """Which proposals are reported."""
        return self.proposals.selections[False]

    @selection.setter
    def selection(self, value: Selection) -> None:
        self.proposals.selections[False] = value

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of anchors and proposals: see ``Detector``."""
        del sizes  # anchors stand in the padding too; nothing there answers
        return self._learn_first(images, targets, assign)[2]

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The proposals of a batch: see ``Detector``."""
        return self.propose(images, sizes)
