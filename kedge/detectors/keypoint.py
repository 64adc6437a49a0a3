"""Keypoint: detectors without anchors, which find objects by points on maps."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from kedge.anchors import Boxes
from kedge.coders import Fixed
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.stage import Outcome
from kedge.select import Selection
from kedge.types import Assigner, Detections, Predictions, Targets


class Keypoint(Detector):
    """A detector that has no anchors: maps, what they should be, and how boxes are read from them.

    ``strides`` are those of the maps. A subclass defines ``predict_maps``, ``map_losses`` and
    ``find``, and has a ``selection``, where it uses ``select``.
    """

    selection: Selection

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

    @torch.no_grad()
    def heat_maps(self, images: Tensor) -> dict[str, Tensor]:
        """The heat of every kind of point, of the last stack."""
        maps = self.predict_maps(pad_to_multiple(images, self.multiple))
        last = {name: heat for name, heat in maps.items() if not name[0].isdigit()}
        return {
            name.removesuffix("_heat").replace("_", " "): heat.sigmoid()
            for name, heat in last.items()
            if name.endswith("heat")
        }

    def select(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, image: Tensor, sizes: Tensor
    ) -> Detections:
        """The detections among boxes (K, 4), each with its score, label and image (K,), images
        ascending, by ``selection``; boxes clipped to ``sizes`` (B, 2)."""
        table = scores.new_full((len(scores), self.num_classes), -torch.inf)
        table[torch.arange(len(scores), device=scores.device), labels] = scores
        anchors = Boxes(boxes, image, batch_size=len(sizes))
        rows = Predictions(logits=table, codes=boxes[:, :0], anchors=anchors, coder=Fixed())
        return self.selection(rows, table, sizes)

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
