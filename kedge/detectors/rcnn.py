"""R-CNN: every proposal is cut out of the image and classified by itself."""

from torch import Tensor, nn

from kedge.coders import Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.on_proposals import OnProposals
from kedge.detectors.region_parts import (
    region_coder,
    region_head,
    region_loss,
    region_selection,
)
from kedge.losses import Loss
from kedge.nn import Backbone, BlockMean, Warp
from kedge.proposals.source import Source
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner

CONTEXT = 16 / 227
"""Of the side of a crop, what is around the box, on every side."""


class RCNN(OnProposals):
    """R-CNN: crops warped to one size, a network for images on each, classes and better boxes.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        source: "sliding_window", "selective_search", "edge_boxes" (the last two need
            ``kedge[proposals]``), with settings where wanted, or a ``kedge.proposals.Source``.
        backbone: of a crop: "tiny" (a map of stride 16), a name of timm's or a module (32).
        size: pixels a side of a crop; 224, with "tiny" 32.
        class_specific: a box for every class.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts of ``regions``, to swap.

    128 crops are learned from, in the batch of 2 images that was usual then: 64 of every image,
    with "tiny" 32; a quarter may be positive. Nothing is shared between the crops of an image, so
    that detection takes as long as classifying thousands of small images.

    Source: Girshick et al., arXiv:1311.2524. Deviations: the network's own softmax and box layer,
    trained together, take the place of one SVM per class with mined negatives and of a ridge
    regression per class; crops are resampled by RoIAlign.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        source: str | Source = "sliding_window",
        backbone: str | nn.Module = "tiny",
        size: int | None = None,
        class_specific: bool = True,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        body = make_backbone(backbone, strides=(16,) if tiny else (32,), pretrained=pretrained)
        super().__init__(
            num_classes=num_classes, source=source, strides=(1,), multiple=1, smallest=1
        )
        size = (32 if tiny else 224) if size is None else size
        coder = region_coder() if coder is None else coder
        loss = region_loss(beta=1.0) if loss is None else loss
        self.regions = region_head(
            Warp(size, context=CONTEXT * size),
            BlockMean(
                LastMap(body), body.channels[-1], classes=loss.class_scores.outputs(num_classes),
                codes=(num_classes if class_specific else 1) * coder.code_size,
            ),
            num_classes=num_classes,
            size=32 if tiny else 64,
            assign=assign,
            sample=sample,
            coder=coder,
            loss=loss,
            selection=region_selection(0.3) if selection is None else selection,
        )  # fmt: skip
        self.regions.at_once = 512 if tiny else 64

    def features(self, images: Tensor) -> list[Tensor]:
        return [images]


class LastMap(nn.Module):
    """A backbone's coarsest map."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)[-1]
