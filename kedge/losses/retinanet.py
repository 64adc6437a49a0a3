"""RetinaNet's loss, on any assignment."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.losses import focal_loss
from kedge.losses.box_terms import BoxTerm, CodeL1
from kedge.losses.on_grid import positives
from kedge.types import Assignment, Predictions, Targets


class DetectionLoss(Protocol):
    """The losses of an assignment, to be added up."""

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetinaNetLoss:
    """``alpha`` and ``gamma`` of the focal loss, the box loss of a pair, and its weight."""

    alpha: float = 0.25
    gamma: float = 2.0
    box: BoxTerm = field(default_factory=CodeL1)
    box_weight: float = 1.0

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``classification`` and ``box``: see ``retinanet_loss``."""
        return retinanet_loss(predictions, targets, assignment, self)


def retinanet_loss(
    predictions: Predictions, targets: Targets, assignment: Assignment, settings: RetinaNetLoss
) -> dict[str, Tensor]:
    """``classification`` and ``box``: scalars, to be added up.

    Focal loss of every anchor that is not ignored, and the box loss of the positives. A pair counts
    with its ``weight``; its class target is ``quality`` for the own class, 0 for the others. Both
    sums are divided by the sum of the weights over the batch, at least 1, so an image without
    objects still teaches what background is.

    Source: Lin et al., arXiv:1708.02002, section 3 and 4. Deviation: torchvision divides per image
    by max(1, positives) and averages over images; Detectron2 divides by a running mean. For one
    image the three agree, but for the running mean.
    """
    count = positives(assignment).clamp(min=1)
    return {
        "classification": _classification(predictions, assignment, settings) / count,
        "box": settings.box_weight
        * (settings.box(predictions, targets, assignment) * assignment.weight).sum()
        / count,
    }


def _classification(
    predictions: Predictions, assignment: Assignment, settings: RetinaNetLoss
) -> Tensor:
    def focal(logits: Tensor, target: Tensor) -> Tensor:
        alpha, gamma = settings.alpha, settings.gamma
        return focal_loss(logits, target, alpha=alpha, gamma=gamma, reduction="none").sum(-1)

    everywhere = focal(predictions.logits, torch.zeros_like(predictions.logits))
    background = torch.where(assignment.background(), everywhere, 0.0).sum()
    logits = predictions.logits_at(assignment.anchor)
    own = F.one_hot(assignment.labels, predictions.num_classes).to(logits)
    own = own * assignment.quality[:, None].to(logits)
    return background + (focal(logits, own) * assignment.weight).sum()
