"""OnProposals: detectors that are told where to look, by a source that never learned it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kedge.anchors import Boxes
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.regions import RegionHead
from kedge.detectors.resize import Placed, rates
from kedge.detectors.stage import Outcome
from kedge.proposals.by_name import source_of
from kedge.proposals.source import Source
from kedge.types import Assigner, Detections, Targets


class OnProposals(Detector):
    """The second stage of a two-stage detector alone, ``regions``, and the ``source`` of its boxes.

    Boxes are given, as ``proposals``: so training and evaluation do, with those that the source
    found in the original image, moved as the objects were moved (scaled, flipped, cropped). Where
    none are given, the source looks at the image as the network sees it, every time. Objects are
    proposals too, in training.

    A subclass defines ``features`` and makes ``regions``.
    """

    regions: RegionHead

    def __init__(
        self,
        *,
        num_classes: int,
        source: str | Source,
        strides: Sequence[float],
        multiple: int,
        smallest: int,
    ) -> None:
        super().__init__(
            num_classes=num_classes, strides=strides, shapes=None, multiple=multiple,
            smallest=smallest,
        )  # fmt: skip
        self.source = source_of(source)

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """Maps of a batch (B, 3, H, W) whose sides are multiples of ``multiple``, finest first."""

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
        proposals: Boxes | None = None,
    ) -> Outcome:
        """The losses of the regions: see ``Detector``. ``proposals``: packed boxes of the batch,
        objects not among them. There are no anchors whose strategy could be overridden."""
        if assign is not None:
            raise ValueError(f"{type(self).__name__} has no anchors: no strategy assigns them")
        check_labels(targets, self.num_classes)
        sizes = sizes_of(images, sizes)
        boxes = self._boxes(images, sizes, proposals).with_objects(targets)
        maps = self.features(pad_to_multiple(images, self.multiple))
        return self.regions.losses(maps, boxes, targets, sizes, self.progress)

    @torch.no_grad()
    def detect(
        self, images: Tensor, sizes: Tensor | None = None, proposals: Boxes | None = None
    ) -> Detections:
        """The detections of a batch: see ``Detector``. ``proposals``: packed boxes of the batch."""
        sizes = sizes_of(images, sizes)
        boxes = self._boxes(images, sizes, proposals)
        return self.regions.detect(
            self.features(pad_to_multiple(images, self.multiple)), boxes, sizes
        )

    def propose(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """What the source finds in a batch (B, 3, H, W), best first, of class 0."""
        found = []
        for image, (height, width) in zip(images, sizes_of(images, sizes).tolist()):
            pixels = (image[:, :height, :width] * 255).round().clamp(0, 255).to(torch.uint8)
            found.append(self.source.boxes(pixels.permute(1, 2, 0).cpu().numpy()))
        boxes, scores = (np.concatenate(column) for column in zip(*found))
        count = torch.tensor([len(rows) for rows, _ in found], device=images.device)
        return Detections(
            boxes=torch.from_numpy(boxes).to(images.device),
            scores=torch.from_numpy(scores).to(images.device),
            labels=torch.zeros(len(boxes), dtype=torch.int64, device=images.device),
            image=torch.arange(len(found), device=images.device).repeat_interleave(count),
            batch_size=len(found),
        )

    def _boxes(self, images: Tensor, sizes: Tensor, proposals: Boxes | None) -> Boxes:
        if proposals is None:
            return Boxes.from_detections(self.propose(images, sizes))
        proposals.total(len(images))
        return proposals

    def forward(
        self,
        images: Sequence[Tensor] | Tensor,
        targets: Sequence[Mapping[str, Any]] | None = None,
        proposals: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses in training, detections in evaluation. ``proposals``: (n, 4) an image, in its
        pixels."""
        placed = self._place(images, targets)
        boxes = None if proposals is None else _placed(Boxes.from_list(proposals), placed)
        if placed.targets is None:
            return placed.back(self.detect(placed.images, placed.sizes, boxes))
        return self.losses(
            placed.images, placed.targets, sizes=placed.sizes, proposals=boxes
        ).losses


def _placed(boxes: Boxes, images: Placed) -> Boxes:
    """Packed boxes of the original images, in pixels of the batch."""
    boxes.total(len(images.images))
    assert boxes.image is not None, "packed boxes know their image"
    rate = rates(images.original, images.sizes)[boxes.image].to(boxes.anchor_boxes)
    return replace(boxes, anchor_boxes=boxes.anchor_boxes * rate)
