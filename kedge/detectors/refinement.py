"""Refining: detectors whose second step answers at the anchors that the first has moved."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from kedge.anchors import Boxes
from kedge.coders import Coder
from kedge.detectors.images import sizes_of
from kedge.detectors.regions import StageParts
from kedge.detectors.stage import Outcome, Stage
from kedge.detectors.two_stage import Proposer
from kedge.losses import Loss
from kedge.sample import Sampler
from kedge.scores import check_width
from kedge.select import Selection
from kedge.types import Assigner, Detections, Predictions, Targets


class RefinedHead(StageParts):
    """A second step: of which class is what stands in a refined anchor, and where exactly?

    ``layers`` give logits (B, N, W) of C classes and codes (B, N, D) for maps, in the order of the
    anchors. All parts can be swapped. Anchors that are ``easy`` (M,), of which the first step is
    sure that they hold nothing, find nothing and teach nothing as background.
    """

    def __init__(
        self,
        layers: nn.Module,
        *,
        num_classes: int,
        assign: Assigner,
        sample: Sampler,
        coder: Coder,
        loss: Loss,
        selection: Selection,
    ) -> None:
        super().__init__(layers, assign=assign, sample=sample, coder=coder, loss=loss)
        self.num_classes, self.selection = num_classes, selection

    def predict(self, maps: list[Tensor], boxes: Boxes) -> Predictions:
        """What it says of every box (B, N, 4)."""
        logits, codes = self.layers(maps)
        check_width(self.loss.class_scores, logits.shape[-1], self.num_classes)
        return Predictions.from_dense(logits, codes, boxes, self.coder, self.loss.class_scores)

    def losses(
        self, predictions: Predictions, targets: Targets, easy: Tensor, progress: float = 0.0
    ) -> Outcome:
        """The losses; a pair counts whatever the first step says."""
        assert predictions.anchors is not None, "a head predicts on anchors"
        stage = Stage.of(self, progress)
        chosen = stage.choose(predictions.anchors, targets, predictions.detach())
        left_out = (chosen.is_background() & easy).nonzero()[:, 0]
        ignored = torch.cat([chosen.ignored, left_out])
        return stage.lose(predictions, replace(chosen, ignored=ignored))

    @torch.no_grad()
    def detect(self, predictions: Predictions, sizes: Tensor, easy: Tensor) -> Detections:
        """The detections, clipped to ``sizes`` (B, 2)."""
        scores = predictions.classes.probability(predictions.class_rows)
        return self.selection(predictions, scores.masked_fill(easy[:, None], 0.0), sizes)


class Refining(Proposer):
    """A composition of ``proposals`` and ``regions``, whose parts can be swapped at any time: the
    first filters and moves the anchors, the second answers at each of them.

    A subclass defines ``features`` and makes both. Losses of the second step, by their own names,
    do not reach what the first has said. ``min_objectness``: anchors below are easy background to
    the second.
    """

    regions: RefinedHead
    min_objectness: float = 0.01

    @torch.no_grad()
    def refined(self, first: Predictions) -> Boxes:
        """The anchors where the first step moves them, without a graph: a list for each image, in
        the grid's order and with its levels."""
        grid, rows = first.anchors, torch.arange(len(first), device=first.logits.device)
        assert grid is not None, "the first step predicts on a grid"
        boxes = first.boxes_at(rows).view(*first.shape, 4)
        return Boxes(
            boxes, strides=grid.stride(rows), levels=grid.level(rows), num_levels=grid.num_levels
        )

    @torch.no_grad()
    def easy(self, first: Predictions) -> Tensor:
        """(M,) bool: anchors of which the first step says that they hold nothing."""
        return first.classes.probability(first.class_rows)[:, 0] < self.min_objectness

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of both steps: see ``Detector``."""
        del sizes  # anchors stand in the padding too; nothing there answers
        maps, first, outcome = self._learn_first(images, targets, assign)
        second = self.regions.predict(maps, self.refined(first))
        found = self.regions.losses(second, targets, self.easy(first), self.progress)
        return outcome._replace(losses=outcome.losses | found.losses)

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        maps, first = self._first(images)
        second = self.regions.predict(maps, self.refined(first))
        return self.regions.detect(second, sizes_of(images, sizes), self.easy(first))
