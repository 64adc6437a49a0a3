"""Fast R-CNN: one set of maps for the image, a classifier and a better box for every proposal."""

from typing import Literal

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
from kedge.nn import RoIPool, TwoMLP
from kedge.proposals.source import Source
from kedge.sample import IoUBalancedNegatives, Sampler
from kedge.select import Selection
from kedge.types import Assigner


class FastRCNN(OnProposals):
    """Fast R-CNN, the second stage of Faster R-CNN on proposals of a source.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        source: "sliding_window", "selective_search", "edge_boxes" (the last two need
            ``kedge[proposals]``), with settings where wanted, or a ``kedge.proposals.Source``.
        backbone: "tiny" (a map of stride 8), a name of timm's ("vgg16": 16), or a module with one
            map of stride 16.
        pool: features of a region, "roi_pool" as published or "roi_align".
        hidden: channels of the two hidden layers; 4,096, with "tiny" 128.
        dropout: after each of them; .5, with "tiny" none.
        class_specific: a box for every class.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts of ``regions``, to swap.

    128 boxes of every image are sampled, with "tiny" 48; a quarter may be positive, background is
    taken where a box overlaps an object by .1 as long as there is such.

    Source: Girshick, arXiv:1504.08083. Deviations: codes have the deviations .1 and .2 of later
    work, where the author measures them class by class on the training proposals; where background
    of IoU .1 to .5 is short, other background fills up.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        source: str | Source = "sliding_window",
        backbone: str | nn.Module = "tiny",
        pool: Literal["roi_align", "roi_pool"] = "roi_pool",
        hidden: int | None = None,
        dropout: float | None = None,
        class_specific: bool = True,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        body = make_backbone(backbone, strides=(8,) if tiny else (16,), pretrained=pretrained)
        stride = body.strides[0]
        super().__init__(
            num_classes=num_classes, source=source, strides=(stride,), multiple=stride,
            smallest=stride,
        )  # fmt: skip
        self.backbone = body
        hidden = (128 if tiny else 4096) if hidden is None else hidden
        dropout = (0.0 if tiny else 0.5) if dropout is None else dropout
        coder = region_coder() if coder is None else coder
        size = 48 if tiny else 128
        loss = region_loss(beta=1.0) if loss is None else loss
        few = IoUBalancedNegatives(
            size=size, positive_share=0.25, bins=1, floor=0.1, floor_fraction=0.0
        )
        self.regions = region_head(
            RoIPool(body.strides, kind=pool),
            TwoMLP(
                49 * body.channels[0], hidden, classes=loss.class_scores.outputs(num_classes),
                codes=(num_classes if class_specific else 1) * coder.code_size, dropout=dropout,
            ),
            num_classes=num_classes,
            size=size,
            assign=assign,
            sample=few if sample is None else sample,
            coder=coder,
            loss=loss,
            selection=region_selection(0.3) if selection is None else selection,
        )  # fmt: skip

    def features(self, images: Tensor) -> list[Tensor]:
        return self.backbone(images)
