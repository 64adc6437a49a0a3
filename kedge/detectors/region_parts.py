"""The two stages with the parts of Faster R-CNN, as several detectors have them."""

from torch import nn

from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.regions import RegionHead, RegionProposals
from kedge.losses import CrossEntropy, DenseLoss, Loss, SoftmaxCrossEntropy, sampled_loss
from kedge.nn import RPNLayers
from kedge.sample import RandomSample, Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner


def proposal_selection(candidates: int, most: int) -> Selection:
    """How a region proposal network selects: suppression within a level, whatever the class."""
    return Selection(
        score=-1.0, candidates=candidates, suppress=NMS(threshold=0.7), apart="level",
        min_side=1e-3, most=most,
    )  # fmt: skip


def region_proposals(
    width: int,
    shapes: int,
    *,
    size: int,
    training: Selection,
    testing: Selection,
    assign: Assigner | None = None,
    sample: Sampler | None = None,
    coder: Coder | None = None,
    loss: Loss | None = None,
) -> RegionProposals:
    """A region proposal network on maps of ``width`` channels with ``shapes`` anchors a cell.

    Parts that are None are Faster R-CNN's: MaxIoU .7 / .3, ``size`` anchors an image of which half
    may be positive, deltas, cross-entropy and smooth L1.
    """
    coder = DeltaCoder() if coder is None else coder
    loss = sampled_loss(CrossEntropy()) if loss is None else loss
    outputs = loss.class_scores.outputs(1)
    return RegionProposals(
        RPNLayers(width, shapes, outputs=outputs, code_size=coder.code_size),
        assign=MaxIoU(positive=0.7, negative=0.3) if assign is None else assign,
        sample=RandomSample(size=size) if sample is None else sample,
        coder=coder,
        loss=loss,
        training=training,
        testing=testing,
    )


def region_selection(threshold: float = 0.5) -> Selection:
    """How a second stage selects: all boxes above .05, suppressed class by class."""
    return Selection(candidates=None, min_side=1e-2, suppress=NMS(threshold=threshold))


def region_coder(narrow: float = 1.0) -> DeltaCoder:
    """Deltas with standard deviations of .1 and .2, ``narrow`` times smaller."""
    centre, side = 0.1 / narrow, 0.2 / narrow
    return DeltaCoder(stds=(centre, centre, side, side))


def region_loss(beta: float = 1 / 9, weight: float = 1.0) -> DenseLoss:
    """Softmax, with a class for background, and smooth L1 of ``beta``, times ``weight``."""
    return sampled_loss(SoftmaxCrossEntropy(), beta=beta, weight=weight)


def region_head(
    pool: nn.Module,
    layers: nn.Module,
    *,
    num_classes: int,
    size: int,
    selection: Selection,
    positive: float = 0.5,
    assign: Assigner | None = None,
    sample: Sampler | None = None,
    coder: Coder | None = None,
    loss: Loss | None = None,
) -> RegionHead:
    """A second stage. Parts that are None are Faster R-CNN's: ``size`` boxes an image, a quarter of
    which may be positive, at IoU ``positive``; ``region_coder()``; ``region_loss()``, for which
    ``layers`` have C + 1 outputs."""
    best = MaxIoU(positive=positive, negative=positive, low_quality="none")
    return RegionHead(
        pool,
        layers,
        num_classes=num_classes,
        assign=best if assign is None else assign,
        sample=RandomSample(size=size, positive_share=0.25) if sample is None else sample,
        coder=region_coder() if coder is None else coder,
        loss=region_loss() if loss is None else loss,
        selection=selection,
    )
