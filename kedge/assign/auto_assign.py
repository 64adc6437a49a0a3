"""AutoAssign: every anchor inside a target is a little positive; how much is learned."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import rank
from kedge.assign.shared.centre_prior import confidence, gaussian_prior
from kedge.assign.shared.costs import checked, class_weights
from kedge.assign.shared.without_graph import without_graph
from kedge.losses.auto_assign import auto_assign_loss
from kedge.types import Anchors, Assignment, ClassWeights, Predictions, Targets

TINY = 1e-6  # smallest 1 - IoU
EPS = 1e-12


class AutoAssign(nn.Module):
    """All anchors inside a target, weighted by a learned centre prior and by their confidence.

    ``weight`` is w+ = exp(3 P) G / sum: P = score * objectness * exp(-``box_weight`` * GIoU loss)
    of the prediction, G the Gaussian of `prior`; it sums to 1 in every target.
    ``background_weight`` is 1 - f(IoU) for the target's class, f = 1 / (1 - IoU) stretched to [0,
    1] within the target, IoU the largest of the predicted box with the targets that contain the
    anchor.

    The likelihood is `kedge.losses.auto_assign_loss`, with gradients to the prior too: a detector
    holds this module as a part of its own, so that the optimiser moves the prior.

    Args: num_classes: learn mean and deviation of the prior for each class; None: one fixed prior
    with mean 0 and deviation 1 stride for all. force_k: a target with no anchor inside takes this
    many of the nearest, by prior; 0 leaves it empty, as published.

    Edge cases: a single anchor inside has f = 1, so it is no background at all. A NaN in the
    predictions stays in its own pairs.

    Source: Zhu et al., arXiv:2007.03496, sections 3.2 to 3.4; MMDetection's constants. Deviations:
    the IoU of an anchor is taken over the targets that contain it (MMDetection: over all of the
    image); where two targets of one class contain an anchor the smaller background weight counts
    (there: the last one's).
    """

    def __init__(
        self, *, num_classes: int | None = None, force_k: int = 0, box_weight: float = 5.0
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"AutoAssign needs num_classes >= 1 or None, got {num_classes}")
        if force_k < 0 or box_weight < 0:
            raise ValueError(
                f"AutoAssign needs force_k and box_weight >= 0, got {force_k} and {box_weight}"
            )
        self.num_classes, self.force_k, self.box_weight = num_classes, force_k, box_weight
        learn = num_classes is not None
        self.mean = nn.Parameter(torch.zeros(num_classes or 1, 2), requires_grad=learn)
        self.sigma = nn.Parameter(torch.ones(num_classes or 1, 2), requires_grad=learn)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"num_classes={self.num_classes}, force_k={self.force_k}, box_weight={self.box_weight}"
        )

    def prior(self, anchors: Anchors, assignment: Assignment) -> Tensor:
        """(P,) Gaussian prior of an assignment's pairs, with gradients to mean and deviation."""
        pairs = Pairs(
            anchors=anchors,
            targets=assignment.targets,
            anchor=assignment.anchor,
            target=assignment.target,
        )
        return self._prior(pairs)

    def likelihood(self, predictions: Predictions, assignment: Assignment) -> dict[str, Tensor]:
        """``auto_assign_loss`` with this prior: ``positive``, ``negative`` and ``centre``."""
        assert assignment.anchors is not None
        return auto_assign_loss(predictions, assignment, self.prior(assignment.anchors, assignment))

    @without_graph
    def forward(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        self._check(targets)
        pairs = anchors.inside(targets)
        if self.force_k:
            pairs = self._with_nearest(pairs)
        p, overlap = confidence(predictions, pairs, self.box_weight)
        weight = torch.exp(3 * p) * self._prior(pairs).to(p.dtype)
        weight = weight / pairs.sum_per_target(weight).clamp(min=EPS)[pairs.target]
        background = self._background(predictions, pairs, overlap)
        chosen = pairs.assignment(weight=weight)
        return replace(chosen, background_weight=background, likelihood=self.likelihood)

    def _check(self, targets: Targets) -> None:
        if self.num_classes is not None and targets.highest >= self.num_classes:
            raise ValueError(
                f"AutoAssign has priors for {self.num_classes} classes, a target has class "
                f"{targets.highest}"
            )

    def _prior(self, pairs: Pairs) -> Tensor:
        return gaussian_prior(pairs, self.mean, self.sigma)

    def _with_nearest(self, pairs: Pairs) -> Pairs:
        """Adds the nearest anchors of targets that have none inside."""
        lonely = pairs.without_any()
        if not bool(lonely.any()):
            return pairs
        near = pairs.anchors.nearest(pairs.targets.only(lonely), self.force_k)
        near = near.select(rank(self._prior(near), near.target, largest=True) < self.force_k)
        return pairs.join(near)

    @staticmethod
    def _background(predictions: Predictions, pairs: Pairs, overlap: Tensor) -> ClassWeights:
        value = 1 / (1 - pairs.max_per_anchor(overlap)).clamp(min=TINY)
        low = pairs.min_per_target(value)[pairs.target]
        high = pairs.max_per_target(value)[pairs.target]
        weight = 1 - (value - low + EPS) / (high - low + EPS)
        return class_weights(pairs.anchor, pairs.labels(), weight, predictions.num_classes)
