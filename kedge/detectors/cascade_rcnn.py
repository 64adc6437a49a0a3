"""Cascade R-CNN: three second stages, each trained for better boxes than the one before."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

from kedge.coders import Coder
from kedge.detectors.cascade import CascadeHead
from kedge.detectors.faster_rcnn import FasterRCNN
from kedge.detectors.levels import Shapes
from kedge.detectors.region_parts import region_coder, region_head, region_loss
from kedge.losses import Loss
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner

STAGES = ((0.5, 1.0, 1.0), (0.6, 2.0, 0.5), (0.7, 3.0, 0.25))
"""IoU of a positive, by how much the standard deviations of codes are smaller, loss weight."""


class CascadeRCNN(FasterRCNN):
    """Faster R-CNN with FPN whose second stage is a row of three, trained at IoU .5, .6 and .7.

    Arguments are those of ``FasterRCNN``, but there is one box for all classes. The three heads,
    with parts of their own, are ``regions.heads``.

    Source: Cai and Vasconcelos, arXiv:1712.00726; constants of MMDetection (smooth L1 beta 1, loss
    weights 1, .5, .25). Detectron2 instead keeps the losses and scales the gradient into the pooled
    features by 1/3. The third stage's code deviations are its .1 / 3 and .2 / 3 (MMDetection: .033,
    .067).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.0,
        pool: Literal["roi_align", "roi_pool"] = "roi_align",
        width: int | None = None,
        hidden: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes, shapes=shapes, backbone=backbone, learn=learn, offset=offset,
            pool=pool, width=width, hidden=hidden, class_specific=False, pretrained=pretrained,
            assign=assign, sample=sample, coder=coder, loss=loss, selection=selection,
        )  # fmt: skip

    def _second_stage(
        self, pool: nn.Module, layers: Callable[[], nn.Module], *, size: int, selection: Selection
    ) -> CascadeHead:
        heads = [
            region_head(
                pool, layers(), num_classes=self.num_classes, size=size, selection=selection,
                positive=positive, coder=region_coder(narrow), loss=region_loss(1.0, weight),
            )
            for positive, narrow, weight in STAGES
        ]  # fmt: skip
        return CascadeHead(heads, selection)
