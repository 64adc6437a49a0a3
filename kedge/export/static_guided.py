"""The static form of detectors whose anchors are predicted: one for each cell, grown from a square,
so that their number is fixed and only their shape is not."""

import math

import torch
from torch import Tensor

from kedge.detectors.dense import Maps
from kedge.detectors.ga_faster_rcnn import GAFasterRCNN
from kedge.detectors.ga_retinanet import GARetinaNet
from kedge.detectors.ga_rpn import GARPN
from kedge.detectors.guidance import Guidance
from kedge.detectors.images import pad_to_multiple
from kedge.export.static import Answers, OnGrid, StaticDense, grid_of
from kedge.export.static_two_stage import StaticTwoStage
from kedge.nn.guided import GuidedOutputs


class StaticGARetinaNet(StaticDense):
    """Of GA-RetinaNet."""

    detector: GARetinaNet

    def __init__(self, detector: GARetinaNet, size: tuple[int, int]) -> None:
        super().__init__(detector, size, detector.guidance.squares(grid_of(detector, size)))

    def placed(self, said: Maps, images: Tensor) -> tuple[Tensor, Tensor]:
        squares, strides = self.of_grid(images)
        return grown(self.detector.guidance, squares, said.branches["shape"]), strides


class StaticGARPN(OnGrid):
    """Of GA-RPN."""

    detector: GARPN

    def __init__(self, detector: GARPN, size: tuple[int, int]) -> None:
        first = detector.proposals
        squares = first.guidance.squares(grid_of(detector, size))
        super().__init__(detector, size, first.coder, detector.selection, squares)

    def _said(self, images: Tensor) -> GuidedOutputs:
        maps = self.detector.features(pad_to_multiple(images, self.detector.multiple))
        return self.detector.proposals.layers(maps)

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        return self._said(images)._asdict()

    def answers(self, images: Tensor) -> Answers:
        return proposed(self, self.detector, self._said(images), images)


class StaticGAFasterRCNN(StaticTwoStage):
    """Of GA-Faster R-CNN."""

    detector: GAFasterRCNN

    def __init__(self, detector: GAFasterRCNN, size: tuple[int, int]) -> None:
        squares = detector.proposals.guidance.squares(grid_of(detector, size))
        super().__init__(detector, size, squares)

    def first(self, maps: list[Tensor], images: Tensor) -> Answers:
        return proposed(self, self.detector, self.detector.proposals.layers(maps), images)


def proposed(
    static: OnGrid, detector: GARPN | GAFasterRCNN, said: GuidedOutputs, images: Tensor
) -> Answers:
    """What the first stage says at every cell's anchor; minus infinity where none is likely."""
    first = detector.proposals
    squares, strides = static.of_grid(images)
    anchors = grown(first.guidance, squares, said.shape)
    likely = said.location.sigmoid() >= first.guidance.min_location
    scores = first.loss.class_scores.probability(said.logits)
    return Answers(torch.where(likely[..., None], scores, -math.inf), said.codes, anchors, strides)


def grown(guidance: Guidance, squares: Tensor, shape: Tensor) -> Tensor:
    """(B, N, 4) the anchors that squares (B, N, 4) become in the ``shape`` (B, N, 2) predicted."""
    rows = guidance.grown(squares.flatten(0, 1), shape.flatten(0, 1))
    return rows.unflatten(0, shape.shape[:2])
