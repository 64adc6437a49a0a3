"""Keypoint: detectors without anchors, which find objects by points on maps."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.stage import Outcome
from kedge.types import Assigner, Detections, Targets


class Keypoint(Detector):
    """A detector that has no anchors: maps, what they should be, and how boxes are read from them.

    ``strides`` are those of the maps. A subclass defines ``predict_maps``, ``map_losses`` and
    ``find``.
    """

    def __init__(
        self, *, num_classes: int, strides: tuple[float, ...], multiple: int, smallest: int
    ) -> None:
        super().__init__(
            num_classes=num_classes, strides=strides, shapes=None, multiple=multiple,
            smallest=smallest,
        )  # fmt: skip

    @abstractmethod
    def predict_maps(self, images: Tensor) -> Mapping[str, Tensor]:
        """Maps (B, K, H / stride, W / stride) by name, for a batch (B, 3, H, W)."""

    @abstractmethod
    def map_losses(self, maps: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Named losses of the maps, to be added up."""

    @abstractmethod
    def find(self, maps: Mapping[str, Tensor], sizes: Tensor) -> Detections:
        """The detections that the maps show, boxes clipped to ``sizes`` (B, 2), best first."""

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of a batch: see ``Detector``. There is no strategy to override."""
        del sizes
        if assign is not None:
            raise ValueError(f"{type(self).__name__} has no anchors: no strategy assigns them")
        check_labels(targets, self.num_classes)
        maps = self.predict_maps(pad_to_multiple(images, self.multiple))
        return Outcome(self.map_losses(maps, targets))

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        maps = self.predict_maps(pad_to_multiple(images, self.multiple))
        return self.find(maps, sizes_of(images, sizes))
