"""Quality branches: what they should say, and how they are learned at the pairs.

A detector with such a branch names it in its predictions ("centreness", "iou") and ranks its boxes
by it; ``DenseLoss(quality=...)`` trains it.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.losses.targets import centreness_target, iou_target
from kedge.types import Assignment, Predictions


class QualityTerm(Protocol):
    """(P,) the loss of a branch at every pair, and what the branch should say there."""

    @property
    def branch(self) -> str:
        """The branch's name among the predictions'."""
        ...

    def target(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,) in [0, 1], without a graph."""
        ...

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor: ...


def _branch_loss(term: QualityTerm, predictions: Predictions, assignment: Assignment) -> Tensor:
    said = predictions.branch(term.branch)[assignment.anchor]
    goal = term.target(predictions, assignment).to(said.dtype)
    return F.binary_cross_entropy_with_logits(said, goal, reduction="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Centreness:
    """How central the anchor's point is in its object (FCOS, ATSS)."""

    branch: str = "centreness"

    def target(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        return centreness_of_pairs(predictions, assignment)

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        return _branch_loss(self, predictions, assignment)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedIoU:
    """The IoU of the predicted box with its object (PAA)."""

    branch: str = "iou"

    def target(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        return iou_of_pairs(predictions, assignment)

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        return _branch_loss(self, predictions, assignment)


@torch.no_grad()
def centreness_of_pairs(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) centre-ness of the anchors' points."""
    anchors = predictions.anchors
    if anchors is None:
        raise ValueError("centre-ness needs the anchors' points: predictions without anchors")
    return centreness_target(anchors.points(assignment.anchor), assignment.boxes)


@torch.no_grad()
def iou_of_pairs(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) IoU of the predicted boxes."""
    found = predictions.boxes_at(assignment.anchor, assignment.labels)
    return iou_target(found, assignment.boxes)


# -- how much a pair's box loss weighs -------------------------------------------------------------


def by_centreness(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) FCOS: central points count more."""
    return centreness_of_pairs(predictions, assignment)


def by_iou(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) VFNet, PAA: boxes that fit count more."""
    return iou_of_pairs(predictions, assignment)


def by_quality(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) TOOD: the assignment's own quality."""
    return assignment.quality


@torch.no_grad()
def by_score(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) GFL: the largest class score at the anchor."""
    odds = predictions.log_odds_at(assignment.anchor)
    return odds.sigmoid().amax(1) if odds.shape[1] else odds.new_ones(len(odds))
