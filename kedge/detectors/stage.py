"""Stage: assign, sample, lose. A detector has one, or one for each of its steps."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from kedge.losses import Loss
from kedge.sample import All, Sample, Sampler
from kedge.types import Anchors, Assigner, Assignment, Predictions, Scheduled, Targets


class Outcome(NamedTuple):
    """What a step of training gave.

    ``losses``: named scalars, to be added up. ``assignment``: of the first stage, None where a
    detector has no anchors. ``background_share``: part of that stage's class and objectness loss
    that anchors without an object make, where its loss knows it.
    """

    losses: dict[str, Tensor]
    assignment: Assignment | None = None
    background_share: Tensor | None = None


class Parts(Protocol):
    """What holds the parts of a stage, as attributes that can be swapped at any time."""

    assign: Assigner
    sample: Sampler
    loss: Loss


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From predictions and targets to losses, with the parts that a detector has at this moment.

    The assignment is frozen: no gradient flows through the choice, only through the losses. A
    strategy that brings its own likelihood (FreeAnchor, MAL, AutoAssign, DW) is trained by that and
    not by ``loss``. ``progress`` is the share of the training that is over, for strategies that
    change on the way.

    Raises ``ValueError`` where a part cannot honour another: a likelihood a sampler, a loss a
    weight, a strategy the anchors.
    """

    assign: Assigner
    loss: Loss
    sample: Sampler = field(default_factory=All)
    progress: float = 0.0

    @classmethod
    def of(cls, owner: Parts, progress: float, assign: Assigner | None = None) -> "Stage":
        """The parts that ``owner`` has at this moment; ``assign`` in place of its strategy."""
        rule = owner.assign if assign is None else assign
        return cls(assign=rule, loss=owner.loss, sample=owner.sample, progress=progress)

    def __call__(self, predictions: Predictions, targets: Targets) -> Outcome:
        """The losses of a batch of predictions on their anchors."""
        assert predictions.anchors is not None, "a stage works on anchors"
        assignment = self.choose(predictions.anchors, targets, predictions.detach())
        return self.lose(predictions, assignment)

    @torch.no_grad()
    def choose(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """The assignment; ``predictions`` may be None for strategies of geometry."""
        rule = self.assign
        if isinstance(rule, Scheduled):
            rule = rule.at(self.progress)
        return rule(anchors, targets, predictions)

    def lose(
        self, predictions: Predictions, assignment: Assignment, sample: Sample | None = None
    ) -> Outcome:
        """The losses of an assignment, of ``sample`` where it was drawn before."""
        if assignment.likelihood is not None:
            if not self.sample.everything:
                raise ValueError(
                    f"{type(self.assign).__name__} brings a likelihood over all anchors, which "
                    f"cannot obey {type(self.sample).__name__}: take sample=All()"
                )
            return Outcome(assignment.likelihood(predictions, assignment), assignment)
        if sample is None:
            sample = self.draw(predictions, assignment)
        terms, share = self.loss(predictions, assignment, sample)
        return Outcome(terms, assignment, share)

    @torch.no_grad()
    def draw(self, predictions: Predictions | None, assignment: Assignment) -> Sample:
        """The sample of an assignment; ``predictions`` for samplers that look at losses."""
        loss = iou = None
        if "loss" in self.sample.needs:
            if predictions is None:
                raise ValueError(
                    f"{type(self.sample).__name__} looks at losses, but this stage samples before "
                    "it predicts"
                )
            loss = self.loss.per_anchor(predictions.detach(), assignment)
        if "iou" in self.sample.needs:
            iou = largest_iou(assignment)
        return self.sample(assignment, loss, iou)


def largest_iou(assignment: Assignment) -> Tensor:
    """(M,) the largest IoU of every anchor with a target that is no crowd."""
    assert assignment.anchors is not None, "an assignment of a stage knows its anchors"
    pairs = assignment.anchors.overlapping(assignment.targets, 0.0)
    out = torch.zeros(assignment.total, dtype=pairs.iou().dtype, device=assignment.anchor.device)
    return out.scatter_reduce(0, pairs.anchor, pairs.iou(), "amax")
