"""Proposals on guided anchors: the first stage of GA-RPN and GA-Faster R-CNN."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kedge.anchors import Grid, LearnedShapes
from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.guidance import ANY_SIZE, Guidance
from kedge.detectors.levels import Shapes, shared_levels
from kedge.detectors.regions import RegionProposals
from kedge.detectors.stage import Outcome
from kedge.detectors.two_stage import Proposer
from kedge.losses import CrossEntropy, Loss, sampled_loss
from kedge.nn import GuidedRPNLayers, PoolPyramid
from kedge.sample import RandomSample, Sampler
from kedge.scores import check_width
from kedge.select import Selection
from kedge.types import Assigner, Detections, Predictions, Targets


class GuidedProposals(RegionProposals):
    """A first stage whose cells predict their own anchors; ``guidance`` says how these are learned.

    In evaluation cells where no anchor is likely propose nothing.
    """

    def __init__(self, layers: nn.Module, *, guidance: Guidance, **parts: Any) -> None:
        super().__init__(layers, **parts)
        self.guidance = guidance

    def predict(self, maps: list[Tensor], grid: Grid) -> Predictions:
        """What it says at every cell's anchor; ``grid`` has the shapes that cells are found by."""
        logits, codes, shape, location = self.layers(maps)
        check_width(self.loss.class_scores, logits.shape[-1], 1)
        anchors = self.guidance.anchors(grid, shape)
        return Predictions.from_dense(
            logits, codes, anchors, self.coder, self.loss.class_scores, shape=shape,
            location=location,
        )  # fmt: skip

    @torch.no_grad()
    def propose(self, predictions: Predictions, sizes: Tensor) -> Detections:
        """Boxes that may hold objects, best first in every image, clipped to ``sizes`` (B, 2)."""
        scores = predictions.classes.probability(predictions.class_rows)
        if not self.training:
            likely = self.guidance.likely(predictions)
            scores = scores.masked_fill(~likely[:, None], -math.inf)
        return self.selections[self.training](predictions.detach(), scores, sizes)


class GuidedProposer(Proposer):
    """A detector with ``GuidedProposals`` on a feature pyramid: see ``GARPN`` for its settings.

    The doctor looks at ``shapes`` and ``rule``: which cells can learn an anchor for which object.
    ``training`` and ``testing`` select the proposals; ``size`` anchors of an image are sampled.
    """

    predicts_anchors = True
    proposals: GuidedProposals

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None,
        backbone: str | nn.Module,
        square: float,
        offset: float,
        width: int | None,
        pretrained: bool,
        training: Selection,
        testing: Selection,
        **parts: Any,
    ) -> None:
        tiny = backbone == "tiny"
        wanted = (8, 16, 32) if tiny else tuple(getattr(backbone, "strides", (4, 8, 16, 32)))
        body = make_backbone(backbone, strides=wanted, pretrained=pretrained)
        strides = (*body.strides, 2 * body.strides[-1])
        shapes = retinanet_shapes(strides, octave_base=8.0) if shapes is None else shapes
        levels = shared_levels(type(self).__name__, strides, shapes, offset)
        super().__init__(
            num_classes=num_classes, strides=strides, shapes=LearnedShapes(levels, learn=False),
            multiple=strides[-2], smallest=strides[0],
        )  # fmt: skip
        self.width = (64 if tiny else 256) if width is None else width
        self.backbone, self.pyramid = body, PoolPyramid(body.channels, self.width)
        self.proposals = guided_proposals(
            self.width, square=square, size=64 if tiny else 256, training=training,
            testing=testing, **parts,
        )  # fmt: skip

    def features(self, images: Tensor) -> list[Tensor]:
        return self.pyramid(self.backbone(images))

    def _learn_first(
        self, images: Tensor, targets: Targets, assign: Assigner | None
    ) -> tuple[list[Tensor], Predictions, Outcome]:
        maps, first, outcome = super()._learn_first(images, targets, assign)
        guided = self.proposals.guidance.losses(self.shapes, first, targets)
        named = {f"proposal_{name}": loss for name, loss in guided.items()}
        return maps, first, outcome._replace(losses=outcome.losses | named)

    def heat_maps(self, images: Tensor) -> dict[str, Tensor]:
        """Where anchors are wanted, level by level."""
        return self.proposals.guidance.location_maps(self.shapes, self.head(images))

    @property
    def rule(self) -> Assigner:
        """Which cell, by its best shape of ``shapes``, learns an anchor for which object."""
        return self.proposals.guidance.assign

    @property
    def first_coder(self) -> Coder:
        """How an anchor's shape is written relative to its square."""
        return self.proposals.guidance.coder


def guided_proposals(
    width: int,
    *,
    square: float,
    size: int,
    training: Selection,
    testing: Selection,
    assign: Assigner | None = None,
    sample: Sampler | None = None,
    coder: Coder | None = None,
    loss: Loss | None = None,
) -> GuidedProposals:
    """The first stage on maps of ``width`` channels, from squares of ``square`` strides.

    Parts that are None are MMDetection's: MaxIoU .7 / .3, ``size`` anchors an image of which half
    may be positive, deltas, cross-entropy and smooth L1 with beta 1.
    """
    coder = DeltaCoder(stds=(0.07, 0.07, 0.11, 0.11)) if coder is None else coder
    best = MaxIoU(positive=0.7, negative=0.3, low_quality="rescuer", min_low_quality=0.3)
    shapes = DeltaCoder(stds=(0.07, 0.07, 0.14, 0.14), clamp=ANY_SIZE)
    loss = sampled_loss(CrossEntropy(), beta=1.0) if loss is None else loss
    return GuidedProposals(
        GuidedRPNLayers(width, outputs=loss.class_scores.outputs(1), code_size=coder.code_size),
        guidance=Guidance(square=square, coder=shapes, sample=RandomSample(size=size)),
        assign=best if assign is None else assign,
        sample=RandomSample(size=size) if sample is None else sample,
        coder=coder,
        loss=loss,
        training=training,
        testing=testing,
    )
