"""OneToFew: one anchor for each target, and a few more that are half of one (o2f)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import rank_below
from kedge.assign.shared.costs import checked, class_logit, predicted_boxes
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class OneToFew:
    """The anchor of most quality is positive; the next best are positive and negative at once.

    Quality is ``score^(1 - alpha) * IoU^alpha`` of the prediction, score times centre-ness where
    the head has that branch. A target claims the ``k`` anchors inside it of most quality > 0; an
    anchor that several claim goes to the one of most quality, the lowest target among equals. Of a
    target's anchors the best has ``quality`` 1 and ``weight`` 1, the others ``weight`` and the soft
    label ``t * score / largest score of the others``: ``t`` falls from ``first`` to ``last`` in the
    course of the training, so that a detector learns from many and ends without suppression.
    `OneToFew.at` gives the rule at a point of the run; the trainer asks it before every step.

    Edge cases: a target without an anchor inside, or whose candidates all have IoU 0, has none, nor
    has one that loses all its anchors to others.

    Source: Li et al., arXiv:2303.11567, as in the released code: alpha 0.8, k 7, weight 0.4, t from
    0.6 to 0.2. Deviation: ``weight`` counts in the box loss too, where the released
    code weighs by centre-ness alone.
    """

    k: int = 7
    alpha: float = 0.8
    weight: float = 0.4
    first: float = 0.6
    last: float = 0.2
    progress: float = 0.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"OneToFew.k must be at least 1, got {self.k}")
        for name in ("alpha", "weight", "first", "last", "progress"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"OneToFew.{name} is in [0, 1], got {getattr(self, name)}")

    def at(self, progress: float) -> "OneToFew":
        """This rule when the share ``progress`` of the training, in [0, 1], is over."""
        return replace(self, progress=progress)

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = anchors.inside(targets)
        score = _score(predictions, pairs)
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        quality = torch.where(overlap > 0, score ** (1 - self.alpha) * overlap**self.alpha, 0)
        place = rank_below(quality, pairs.target, len(targets), self.k, largest=True)
        rows = where((place < self.k) & (quality > 0))
        pairs, score, quality = pairs.select(rows), pick(score, rows), pick(quality, rows)
        rows = where(pairs.wins_anchor(quality))
        pairs, score, quality = pairs.select(rows), pick(score, rows), pick(quality, rows)
        best = pairs.top_per_target(quality, 1)
        most = pairs.max_per_target(torch.where(best, 0, score)).clamp(min=1e-12)
        t = self.first + (self.last - self.first) * self.progress
        return pairs.assignment(
            weight=torch.where(best, 1, self.weight),
            quality=torch.where(best, 1, t * score / most[pairs.target]),
        )


def _score(predictions: Predictions, pairs: Pairs) -> Tensor:
    """(P,) probability of the target's class, times centre-ness where there is that branch."""
    score = class_logit(predictions, pairs).sigmoid()
    if "centreness" not in predictions.branches:
        return score
    return score * pick(predictions.branch("centreness"), pairs.anchor).to(score).sigmoid()
