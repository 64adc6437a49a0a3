"""Dense: detectors of one stage, which answer at every anchor of a grid."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kedge.anchors import Grid, LearnedShapes, Level
from kedge.anchors.remembered import remembered
from kedge.coders import Coder
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import Loss
from kedge.losses.objectness import squared
from kedge.sample import All, Sampler
from kedge.scores import check_width
from kedge.select import Selection
from kedge.types import Anchors, Assigner, Detections, Predictions, Targets


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """Raw outputs of a head at every anchor: logits (B, N, W), codes (B, N, D) and branches by
    name, (B, N) or (B, N, E)."""

    logits: Tensor
    codes: Tensor
    branches: Mapping[str, Tensor] = field(default_factory=dict)


class Dense(Detector):
    """A composition: anchors, an assigner, a sampler, a coder, layers, a loss, a selection.

    ``levels``: with shapes these are ``LearnedShapes``, learned or not; levels of points
    (``Level(stride=8)``) have none. ``assign``, ``sample``, ``coder``, ``loss`` and ``selection``
    are plain attributes that can be swapped at any time; what a strategy brings of its own goes
    with it. A swapped coder has to take as many numbers as the head gives.

    A subclass defines ``predict_maps``, and ``scores`` where class times objectness is not the
    ranking.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        levels: Sequence[Level],
        learn: bool = False,
        assign: Assigner,
        coder: Coder,
        loss: Loss,
        selection: Selection,
        sample: Sampler | None = None,
        multiple: int,
    ) -> None:
        has_shapes = all(level.shapes is not None for level in levels)
        if learn and not has_shapes:
            raise ValueError("learn: these levels are points and have no shapes to learn")
        super().__init__(
            num_classes=num_classes,
            strides=[level.strides[0] for level in levels],
            shapes=LearnedShapes(levels, learn=learn) if has_shapes else None,
            multiple=multiple,
            smallest=int(levels[0].strides[0]),
        )
        self.levels = tuple(levels)
        self._grids: dict[tuple[int, int], Grid] = {}
        self.assign = assign
        self.sample = All() if sample is None else sample
        self.coder = coder
        self.loss = loss
        self.selection = selection

    @abstractmethod
    def predict_maps(self, images: Tensor) -> Maps:
        """Raw outputs for a batch (B, 3, H, W) whose sides are multiples of ``multiple``."""

    def scores(self, predictions: Predictions) -> Tensor:
        """(M, C) in [0, 1]: class probability, times objectness where there is such a branch."""
        scores = predictions.classes.probability(predictions.class_rows)
        if predictions.objectness is None:
            return scores
        return scores * predictions.branch("objectness").sigmoid()[:, None]

    @property
    def stage(self) -> Stage:
        """The parts as they are now."""
        return Stage.of(self, self.progress)

    def grid(self, image_size: tuple[int, int]) -> Grid:
        """The anchors for a batch of images (H, W), differentiable in learned shapes."""
        if self.shapes is not None:
            return self.shapes(image_size)
        device = next(self.parameters()).device
        known = self._grids.get(image_size)
        if known is None or known.device != device:
            known = remembered(self._grids, image_size, Grid(image_size, self.levels).to(device))
        return known

    def head(self, images: Tensor) -> Predictions:
        """Raw outputs for a batch (B, 3, H, W) in [0, 1], on ``self.grid((H, W))``.

        Sides that are no multiple of ``multiple`` are padded first, at the right and the bottom;
        ``H`` and ``W`` are then those of the padded batch.
        """
        images = pad_to_multiple(images, self.multiple)
        return self.read(self.predict_maps(images), (images.shape[-2], images.shape[-1]))

    def read(self, maps: Maps, image_size: tuple[int, int]) -> Predictions:
        """What the outputs for a batch of images (H, W) say; ``ValueError`` where they are not of
        this coder or this loss."""
        if maps.codes.shape[-1] != self.coder.code_size:
            raise ValueError(
                f"the head gives {maps.codes.shape[-1]} numbers a box, {self.coder} reads "
                f"{self.coder.code_size}: give coder= when the detector is made"
            )
        classes = self.loss.class_scores
        check_width(classes, maps.logits.shape[-1], self.num_classes)
        anchors = self.anchors_of(maps, image_size)
        return Predictions.from_dense(
            maps.logits, maps.codes, anchors, self.coder, classes, **maps.branches
        )

    def anchors_of(self, maps: Maps, image_size: tuple[int, int]) -> Anchors[Any]:
        """What the outputs of images (H, W) are relative to: the grid, unless they say it."""
        del maps
        return self.grid(image_size)

    @property
    def rule(self) -> Assigner:
        """The assigner."""
        return self.assign

    @property
    def first_coder(self) -> Coder:
        """The coder."""
        return self.coder

    @property
    def copes_with_background(self) -> bool:
        """Whether a sampler balances the class loss, or the loss does so itself."""
        return not self.sample.everything or self.loss.balances

    @property
    def fades(self) -> bool:
        """Whether the loss has an objectness, and that is learned by squared errors."""
        objectness = getattr(self.loss, "objectness", None)
        return objectness is not None and objectness.confidence is squared

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of the stage: see ``Detector``."""
        del sizes  # anchors stand in the padding too; nothing there answers
        check_labels(targets, self.num_classes)
        return Stage.of(self, self.progress, assign)(self.head(images), targets)

    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        return self.select(self.head(images), sizes_of(images, sizes))

    @torch.no_grad()
    def select(self, predictions: Predictions, sizes: Tensor) -> Detections:
        """The detections among predictions of its own head, boxes clipped to ``sizes`` (B, 2)."""
        return self.selection(predictions, self.scores(predictions), sizes)
