"""The static form of detectors that find points: their maps, and of CornerNet all pairs of the best
corners, which are as many in every image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.detectors.cornernet import CornerNet
from kedge.detectors.denet import DeNet
from kedge.detectors.images import pad_to_multiple
from kedge.detectors.keypoint import Keypoint
from kedge.export.static import Answering, Answers, Static, picked


class StaticKeypoint(Static):
    """The maps that are read, those of the last stack."""

    detector: Keypoint

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        said = self.detector.predict_maps(pad_to_multiple(images, self.detector.multiple))
        return {name: value for name, value in said.items() if not name[0].isdigit()}


class StaticCornerNet(StaticKeypoint, Answering):
    """All pairs of the best corners; those that are no objects score minus infinity."""

    detector: CornerNet

    def __init__(self, detector: CornerNet, size: tuple[int, int]) -> None:
        super().__init__(detector, size)
        height, width = (-(-side // detector.multiple) * detector.multiple for side in size)
        cells = int(height * width / detector.strides[0] ** 2)
        self.selection = detector.selection
        self.levels = (min(detector.candidates, detector.num_classes * cells) ** 2,)

    def answers(self, images: Tensor) -> Answers:
        boxes, score, label, good = self.detector.pairs(self.maps(images))
        of_class = F.one_hot(label, self.detector.num_classes) > 0
        scores = torch.where(of_class & good[..., None], score[..., None], -torch.inf)
        return Answers(scores, codes=boxes, anchors=boxes, strides=boxes)

    def boxes(self, said: Answers, rows: Tensor, labels: Tensor) -> Tensor:
        return picked(said.anchors, rows)

    def every_box(self, said: Answers) -> Tensor:
        return said.anchors


class StaticDeNet(Static):
    """The log odds of corners (B, 4, H, W) and the features that boxes are sampled of."""

    detector: DeNet

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        corners, features = self.detector.corner_maps(images)
        return {"corners": corners, "features": features}
