"""What an assignment did in a training step, for the log: positives, and who makes the loss."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kedge.detectors.base import Detector
from kedge.types import Anchors, Assigner, Assignment, Predictions, Targets

CLASS_LOSSES = ("classification", "objectness")


@dataclass(kw_only=True)
class Watch:
    """The same strategy as ``assign``; keeps what it did last."""

    assign: Assigner
    last: Assignment | None = field(default=None, repr=False)

    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        self.last = self.assign(anchors, targets, predictions)
        return self.last


def step_facts(
    detector: Detector, predictions: Predictions, assignment: Assignment
) -> dict[str, float]:
    """``objects`` that count, ``answered``: those with a positive, ``positives``: pairs; and
    ``background_share`` of the class loss, where the detector has one. Of one batch."""
    targets = assignment.targets
    facts: dict[str, float] = {
        "objects": int((~targets.ignore).sum()),
        "answered": len(assignment.target.unique()),
        "positives": len(assignment),
    }
    whole, positive = class_losses(detector, predictions, assignment)
    if whole > 0:
        facts["background_share"] = max(0.0, 1 - positive / whole)
    return facts


@torch.no_grad()
def class_losses(
    detector: Detector, predictions: Predictions, assignment: Assignment
) -> tuple[float, float]:
    """The class and objectness loss of all anchors, and of the positives alone, divided by the same
    number; zeros where the detector's losses have other names (likelihoods of bags)."""
    batch, count = assignment.shape
    rest = torch.ones(batch * count, dtype=torch.bool, device=assignment.anchor.device)
    rest[assignment.anchor] = False
    alone = replace(assignment, ignored=rest.nonzero()[:, 0])
    training, detector.training = detector.training, False  # what it counts, it counts once
    try:
        parts = [
            detector.losses(predictions.detach(), assignment.targets, each)
            for each in (assignment, alone)
        ]
    finally:
        detector.training = training
    whole, positive = (_sum(part) for part in parts)
    return whole, positive


def _sum(losses: dict[str, Tensor]) -> float:
    return sum(float(losses[name]) for name in CLASS_LOSSES if name in losses)
