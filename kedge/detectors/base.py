"""What every detector shares: torchvision's way of calling, and how the parts are joined."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kedge.anchors.learned import LearnedShapes
from kedge.detectors.images import batch_images, check_labels, pack_targets, pad_to_multiple
from kedge.losses.on_grid import on_grid
from kedge.select.selection import Selection, select
from kedge.types import Assigner, Assignment, Coder, Detections, Predictions, Targets


class Detector(nn.Module, ABC):
    """A detector as a composition: anchors, an assigner, a coder, layers, losses, a selection.

    It speaks torchvision's language. In training ``model(images, targets)`` returns a dictionary of
    losses to add up; in evaluation ``model(images)`` returns one dictionary of ``boxes`` (n, 4)
    ``xyxy`` pixels, ``labels`` (n,) and ``scores`` (n,) per image. Images are float (3, H, W) in
    [0, 1], of any sizes; labels are 0-based, without a background class; ``iscrowd`` objects are
    never learned from.

    A subclass defines ``predict_maps``, ``losses`` and ``scores``. All parts can be swapped:
    ``assign`` and ``coder`` are plain attributes. ``multiple`` is what image sides are padded
    to, ``smallest`` the smallest side accepted: one cell of the finest level.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        anchors: LearnedShapes,
        assign: Assigner,
        coder: Coder,
        selection: Selection,
        multiple: int,
        smallest: int,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.anchors = anchors
        self.assign = assign
        self.coder = coder
        self.selection = selection
        self.multiple = multiple
        self.smallest = smallest

    # -- what a detector defines -------------------------------------------------------------------

    @abstractmethod
    def predict_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Class logits (B, N, C), box codes (B, N, D) and objectness (B, N) or None."""

    @abstractmethod
    def losses(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """Named scalar losses, to be added up."""

    @abstractmethod
    def scores(self, predictions: Predictions) -> Tensor:
        """(B, N, C) in [0, 1]: how sure the detector is of every class at every anchor."""

    # -- what they share ---------------------------------------------------------------------------

    def head(self, images: Tensor) -> Predictions:
        """Raw outputs for a batch (B, 3, H, W) in [0, 1], on ``self.anchors((H, W))``.

        Sides that are no multiple of ``multiple`` are padded first, at the right and the bottom;
        ``H`` and ``W`` are then those of the padded batch.
        """
        images = pad_to_multiple(images, self.multiple)
        grid = self.anchors((images.shape[-2], images.shape[-1]))
        logits, codes, objectness = self.predict_maps(images)
        return Predictions.from_codes(logits, codes, grid, self.coder, objectness)

    def loss(
        self, predictions: Predictions, targets: Targets, assign: Assigner | None = None
    ) -> dict[str, Tensor]:
        """Losses of a batch; ``assign`` overrides the detector's own strategy (soft warm-up).

        The assignment is frozen: no gradient flows through the choice, only through the losses.

        Raises ``ValueError`` naming image and object of a label that is no class.
        """
        check_labels(targets, self.num_classes)
        grid, _ = on_grid(predictions)
        with torch.no_grad():
            strategy = self.assign if assign is None else assign
            assignment = strategy(grid, targets, predictions.detach())
        return self.losses(predictions, targets, assignment)

    def detect(self, predictions: Predictions, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch. ``sizes`` (B, 2): heights and widths to clip boxes to.

        Without ``sizes`` boxes are clipped to the batch's own.
        """
        if sizes is None:
            size = torch.tensor(on_grid(predictions)[0].image_size)
            sizes = size.to(predictions.logits.device).expand(predictions.shape[0], 2)
        with torch.no_grad():
            return select(self.scores(predictions), predictions, sizes, self.selection)

    def forward(
        self,
        images: Sequence[Tensor] | Tensor,
        targets: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses in training, detections in evaluation (``targets`` are then not looked at)."""
        if self.training and targets is None:
            raise ValueError("in training a detector needs targets: model(images, targets)")
        batch, sizes = batch_images(images, smallest=self.smallest)
        if self.training:
            packed = pack_targets(targets or [], len(batch))
            return self.loss(self.head(batch), packed)
        return self.detect(self.head(batch), sizes).to_list()
