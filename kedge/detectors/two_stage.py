"""TwoStage: proposals from a first stage, classes and better boxes from a second."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from kedge.anchors import Boxes, Grid, LearnedShapes
from kedge.coders import Coder
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import Loss
from kedge.sample import Sampler
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


class RegionHead(Swappable):
    """A second stage: of which class is what stands in a box, and where exactly?

    ``pool`` takes maps, boxes (R, 4) and their images (R,) to features, ``layers`` these to class
    outputs (R, W) and codes (R, D), or (R, C D) for a box of every class. All parts can be swapped.
    Boxes are sampled before features are computed, unless ``sample`` takes them all, as strategies
    that read predictions need.
    """

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
        logits, codes = self.layers(self.pool(maps, boxes.boxes(), boxes.image))
        if codes.shape[1] != self.coder.code_size:
            codes = codes.unflatten(1, (-1, self.coder.code_size))
        return Predictions(
            logits=logits, codes=codes, anchors=boxes, coder=self.coder,
            classes=self.loss.class_scores,
        )  # fmt: skip

    def losses(
        self, maps: list[Tensor], boxes: Boxes, targets: Targets, progress: float = 0.0
    ) -> Outcome:
        """The losses of the sampled boxes."""
        stage = Stage.of(self, progress)
        if self.sample.everything:
            return stage(self.predict(maps, boxes), targets)
        assignment = stage.choose(boxes, targets)
        kept, chosen, sample = stage.draw(None, assignment).keep(boxes, assignment)
        return stage.lose(self.predict(maps, kept), chosen, sample)

    @torch.no_grad()
    def detect(self, maps: list[Tensor], boxes: Boxes, sizes: Tensor) -> Detections:
        """The detections among boxes, clipped to ``sizes`` (B, 2)."""
        found = self.predict(maps, boxes)
        return self.selection(found, found.classes.probability(found.class_rows), sizes)


class Proposer(Detector):
    """A detector whose first stage, ``proposals``, only says where objects may be.

    A subclass defines ``features``, makes ``proposals``, and trains both stages.
    """

    shapes: LearnedShapes
    proposals: RegionProposals

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """Maps of a batch (B, 3, H, W) whose sides are multiples of ``multiple``, finest first."""

    def grid(self, image_size: tuple[int, int]) -> Grid:
        """The anchors of the first stage for images (H, W)."""
        return self.shapes(image_size)

    def _first(self, images: Tensor) -> tuple[list[Tensor], Predictions]:
        """The maps of a batch (B, 3, H, W), and what the first stage says at its anchors."""
        images = pad_to_multiple(images, self.multiple)
        maps = self.features(images)
        grid = self.grid((images.shape[-2], images.shape[-1]))
        return maps, self.proposals.predict(maps, grid)

    def head(self, images: Tensor) -> Predictions:
        """What the first stage says at its anchors, for a batch (B, 3, H, W)."""
        return self._first(images)[1]

    @property
    def rule(self) -> Assigner:
        """The first stage's assigner."""
        return self.proposals.assign

    @property
    def first_coder(self) -> Coder:
        """The first stage's coder."""
        return self.proposals.coder

    @torch.no_grad()
    def propose(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The proposals of a batch (B, 3, H, W), best first, of class 0."""
        return self.proposals.propose(self.head(images), sizes_of(images, sizes))


class TwoStage(Proposer):
    """A composition of ``proposals`` and ``regions``, whose parts can be swapped at any time.

    A subclass defines ``features`` and makes both. Losses of the first stage are called
    ``proposal_...``, those of the second by their own names. Objects are proposals too, in
    training.
    """

    regions: RegionHead

    @property
    def most(self) -> int:
        """What the second stage's selection lets through."""
        return self.regions.selection.most

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of both stages: see ``Detector``."""
        check_labels(targets, self.num_classes)
        maps, first = self._first(images)
        stage = Stage.of(self.proposals, self.progress, assign)
        outcome = stage(first, targets.as_one_class())
        found = self.proposals.propose(first, sizes_of(images, sizes))
        boxes = Boxes.from_detections(found, targets)
        second = self.regions.losses(maps, boxes, targets, self.progress)
        named = {f"proposal_{name}": loss for name, loss in outcome.losses.items()}
        return outcome._replace(losses=named | second.losses)

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        sizes = sizes_of(images, sizes)
        maps, first = self._first(images)
        boxes = Boxes.from_detections(self.proposals.propose(first, sizes))
        return self.regions.detect(maps, boxes, sizes)
