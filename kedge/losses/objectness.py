"""The objectness term of the YOLO family: is there an object, whatever its class?"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.losses.quality_terms import iou_of_pairs
from kedge.sample import Sample
from kedge.types import Assignment, Predictions


def squared(logits: Tensor, target: Tensor) -> Tensor:
    """Half the squared error of the sigmoid: darknet's, whose gradient has no 2."""
    return (logits.sigmoid() - target).square() / 2


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy (YOLOv3 and later)."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def linear(said: Tensor, target: Tensor) -> Tensor:
    """Half the squared error of the output as it is (YOLOv1)."""
    return (said - target).square() / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectness:
    """``confidence(said, target)`` of a branch: towards 1 at pairs, 0 elsewhere.

    ``positive`` and ``background`` weigh the two parts. ``rescore``: the goal at a pair is the IoU
    of its predicted box (no gradient), else 1; the assignment's ``quality`` scales it where
    ``by_quality`` says so (not in YOLOX, whose classes alone learn the quality).
    """

    positive: float = 1.0
    background: float = 1.0
    rescore: bool = False
    confidence: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    by_quality: bool = True
    branch: str = "objectness"

    def goal(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,) what the objectness of every pair should be."""
        quality = assignment.quality
        goal = quality if self.by_quality else torch.ones_like(quality)
        return goal * iou_of_pairs(predictions, assignment) if self.rescore else goal

    def pairs(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,) the loss at every pair."""
        said = predictions.branch(self.branch)[assignment.anchor]
        goal = self.goal(predictions, assignment).to(said.dtype)
        return self.positive * self.confidence(said, goal)

    def elsewhere(self, predictions: Predictions) -> Tensor:
        """(M,) the loss of every anchor as background."""
        said = predictions.branch(self.branch)
        return self.background * self.confidence(said, torch.zeros_like(said))

    def __call__(
        self, predictions: Predictions, assignment: Assignment, sample: Sample
    ) -> tuple[Tensor, Tensor]:
        """Sums over the sampled pairs, weighted, and over the sampled background."""
        pairs = (self.pairs(predictions, assignment) * assignment.weight)[sample.positive]
        return pairs.sum(), self.elsewhere(predictions)[sample.negative].sum()
