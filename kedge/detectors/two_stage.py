"""TwoStage: proposals from a first stage, classes and better boxes from a second."""

from abc import abstractmethod

import torch
from torch import Tensor

from kedge.anchors import Boxes, Grid, LearnedShapes
from kedge.coders import Coder
from kedge.detectors.cascade import CascadeHead
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.regions import RegionHead, RegionProposals
from kedge.detectors.stage import Outcome, Stage
from kedge.types import Assigner, Detections, Predictions, Targets


class Proposer(Detector):
    """A detector whose first stage, ``proposals``, only says where objects may be.

    A subclass defines ``features``, makes ``proposals``, and trains both stages. Losses of the
    first are called ``proposal_...``.
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

    def _learn_first(
        self, images: Tensor, targets: Targets, assign: Assigner | None
    ) -> tuple[list[Tensor], Predictions, Outcome]:
        """The maps, what the first stage says at its anchors, and its losses."""
        check_labels(targets, self.num_classes)
        maps, first = self._first(images)
        outcome = Stage.of(self.proposals, self.progress, assign)(
            first, self.first_targets(targets)
        )
        named = {f"proposal_{name}": loss for name, loss in outcome.losses.items()}
        return maps, first, outcome._replace(losses=named)

    def head(self, images: Tensor) -> Predictions:
        """What the first stage says at its anchors, for a batch (B, 3, H, W)."""
        return self._first(images)[1]

    def first_targets(self, targets: Targets) -> Targets:
        """All of class 0, "object"."""
        return targets.as_one_class()

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

    A subclass defines ``features`` and makes both. Losses of the second stage have their own names.
    Objects are proposals too, in training.
    """

    regions: RegionHead | CascadeHead

    @property
    def heads(self) -> list[RegionHead]:
        """The heads of the second stage: one, or those of a cascade."""
        regions = self.regions
        heads = regions.heads if isinstance(regions, CascadeHead) else [regions]
        return [head for head in heads if isinstance(head, RegionHead)]

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of both stages: see ``Detector``."""
        sizes = sizes_of(images, sizes)
        maps, first, outcome = self._learn_first(images, targets, assign)
        boxes = Boxes.from_detections(self.proposals.propose(first, sizes), targets)
        second = self.regions.losses(maps, boxes, targets, sizes, self.progress)
        return outcome._replace(losses=outcome.losses | second.losses)

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        sizes = sizes_of(images, sizes)
        maps, first = self._first(images)
        boxes = Boxes.from_detections(self.proposals.propose(first, sizes))
        return self.regions.detect(maps, boxes, sizes)
