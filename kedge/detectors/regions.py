"""The two stages of a detector with proposals: where objects may be, and what stands there."""

import torch
from torch import Tensor, nn

from kedge.anchors import Boxes, Grid
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import CrossEntropy, Loss, SoftmaxCrossEntropy, sampled_loss
from kedge.nn import RPNLayers
from kedge.sample import RandomSample, Sampler
from kedge.select import NMS, Selection
from kedge.swappable import Swappable
from kedge.types import Assigner, Detections, Predictions, Targets


def proposal_selection(candidates: int, most: int) -> Selection:
    """How a region proposal network selects: suppression within a level, whatever the class."""
    return Selection(
        score=-1.0, candidates=candidates, suppress=NMS(threshold=0.7), apart="level",
        min_side=1e-3, most=most,
    )  # fmt: skip


class RegionProposals(Swappable):
    """A first stage: is there an object, whatever its class, and where?

    ``layers`` give logits (B, N, 1) and codes (B, N, D) for maps. ``training`` and ``testing``
    select the proposals. All parts can be swapped.
    """

    def __init__(
        self,
        layers: nn.Module,
        *,
        assign: Assigner,
        sample: Sampler,
        coder: Coder,
        loss: Loss,
        training: Selection,
        testing: Selection,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.assign, self.sample, self.coder, self.loss = assign, sample, coder, loss
        self.selections = {True: training, False: testing}

    def predict(self, maps: list[Tensor], grid: Grid) -> Predictions:
        """What it says at every anchor."""
        logits, codes = self.layers(maps)
        return Predictions.from_dense(logits, codes, grid, self.coder, self.loss.class_scores)

    @torch.no_grad()
    def propose(self, predictions: Predictions, sizes: Tensor) -> Detections:
        """Boxes that may hold objects, best first in every image, clipped to ``sizes`` (B, 2)."""
        scores = predictions.classes.probability(predictions.class_rows)
        return self.selections[self.training](predictions.detach(), scores, sizes)


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
    return RegionProposals(
        RPNLayers(width, shapes, code_size=coder.code_size),
        assign=MaxIoU(positive=0.7, negative=0.3) if assign is None else assign,
        sample=RandomSample(size=size) if sample is None else sample,
        coder=coder,
        loss=sampled_loss(CrossEntropy()) if loss is None else loss,
        training=training,
        testing=testing,
    )


class RegionHead(Swappable):
    """A second stage: of which class is what stands in a box, and where exactly?

    ``pool`` takes maps, boxes (R, 4) and their images (R,) to features, ``layers`` these to class
    outputs (R, W) and codes (R, D), or (R, C D) for a box of every class. All parts can be swapped.
    Boxes are sampled before features are computed, unless ``sample`` takes them all, as strategies
    that read predictions need, or looks at losses (OHEM). In evaluation no more than ``at_once``
    are in memory at a time.
    """

    at_once = 2048

    def __init__(
        self,
        pool: nn.Module,
        layers: nn.Module,
        *,
        assign: Assigner,
        sample: Sampler,
        coder: Coder,
        loss: Loss,
        selection: Selection,
    ) -> None:
        super().__init__()
        self.pool, self.layers = pool, layers
        self.assign, self.sample, self.coder, self.loss = assign, sample, coder, loss
        self.selection = selection

    def predict(self, maps: list[Tensor], boxes: Boxes) -> Predictions:
        """What it says of every box."""
        assert boxes.image is not None
        rois, image = boxes.boxes(), boxes.image
        parts = len(rois) if self.training else self.at_once
        pairs = zip(rois.split(max(parts, 1)), image.split(max(parts, 1)))
        said = [self.layers(self.pool(maps, *part)) for part in pairs]
        logits, codes = (torch.cat(column) for column in zip(*said))
        if codes.shape[1] != self.coder.code_size:
            codes = codes.unflatten(1, (-1, self.coder.code_size))
        return Predictions(
            logits=logits, codes=codes, anchors=boxes, coder=self.coder,
            classes=self.loss.class_scores,
        )  # fmt: skip

    def learn(
        self, maps: list[Tensor], boxes: Boxes, targets: Targets, progress: float
    ) -> tuple[Outcome, Predictions]:
        """The losses of the sampled boxes, and what it says of those that features were computed
        of."""
        stage = Stage.of(self, progress)
        if self.sample.everything or "loss" in self.sample.needs:
            found = self.predict(maps, boxes)
            return stage(found, targets), found
        assignment = stage.choose(boxes, targets)
        kept, chosen, sample = stage.draw(None, assignment).keep(boxes, assignment)
        found = self.predict(maps, kept)
        return stage.lose(found, chosen, sample), found

    def losses(
        self,
        maps: list[Tensor],
        boxes: Boxes,
        targets: Targets,
        sizes: Tensor,
        progress: float = 0.0,
    ) -> Outcome:
        """The losses of the sampled boxes of images of ``sizes`` (B, 2)."""
        del sizes  # part of what a detector expects; these boxes are within their images
        return self.learn(maps, boxes, targets, progress)[0]

    @torch.no_grad()
    def detect(self, maps: list[Tensor], boxes: Boxes, sizes: Tensor) -> Detections:
        """The detections among boxes, clipped to ``sizes`` (B, 2)."""
        found = self.predict(maps, boxes)
        return self.selection(found, found.classes.probability(found.class_rows), sizes)


def region_selection(threshold: float = 0.5) -> Selection:
    """How a second stage selects: all boxes above .05, suppressed class by class."""
    return Selection(candidates=None, min_side=1e-2, suppress=NMS(threshold=threshold))


def region_head(
    pool: nn.Module,
    layers: nn.Module,
    *,
    size: int,
    selection: Selection,
    positive: float = 0.5,
    narrow: float = 1.0,
    beta: float = 1 / 9,
    weight: float = 1.0,
) -> RegionHead:
    """A second stage with Faster R-CNN's parts: ``size`` boxes an image, a quarter of which may be
    positive, at IoU ``positive``; deltas with deviations of .1 and .2 over ``narrow``; softmax and
    smooth L1 of ``beta``, times ``weight``."""
    centre, side = 0.1 / narrow, 0.2 / narrow
    return RegionHead(
        pool,
        layers,
        assign=MaxIoU(positive=positive, negative=positive, low_quality="none"),
        sample=RandomSample(size=size, positive_share=0.25),
        coder=DeltaCoder(stds=(centre, centre, side, side)),
        loss=sampled_loss(SoftmaxCrossEntropy(), beta=beta, weight=weight),
        selection=selection,
    )
