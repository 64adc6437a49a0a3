"""TAL: task-aligned assignment. A prediction's score and overlap choose the positives together."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.predicted import overlapping_outside
from kedge.anchors.queries.regions import enlarged
from kedge.anchors.segments import rank, rank_below
from kedge.assign.shared.contest import settle
from kedge.assign.shared.costs import checked, class_logit, predicted_boxes
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import ciou, iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class TAL:
    """Of the ``k`` anchors with the largest alignment ``t = score^alpha * IoU^beta`` those inside.

    Score is the probability of the target's class, IoU that of the predicted box. Only t > 0
    counts. An anchor that several targets claim goes to the one it overlaps most (equal: the
    lowest target). ``quality`` is the soft label t-hat: t scaled within each target so that its
    largest value is the target's largest IoU.

    - ``among``: where a target's k best are looked for: among ``"all"`` anchors, of which those
      outside the target are then dropped, or among those ``"inside"`` only, so that anchors
      outside take no place.
    - ``min_side``: objects with a smaller side are enlarged to it, about their centre, when
      candidates are looked for. Without it an object between the cells' centres has no candidate
      at all.
    - ``overlap``: ``"iou"``, or ``"ciou"`` with negative values raised to 0.
    - ``contest``: who may win an anchor that several targets claim: the ``"claimants"``, or every
      target of which the anchor is a candidate (``"candidates"``), even one that did not choose
      it.
    - ``keep``: how many of its anchors with the largest t a target keeps after the contest; all
      unless given. 1 is one to one, for a detector without suppression: the soft label of the one
      that is kept is its own IoU.

    `TAL.ultralytics` is the variant of Ultralytics 8.4, `TAL.one_to_one` that of its branch without
    suppression.

    Cost of ``among="all"``: an anchor outside can only take a place if its predicted box overlaps
    the target by more than ``t^(1/beta)`` of the last one inside, so a spatial join finds them.

    Edge cases: a target without a cell centre inside, or whose candidates all have IoU 0, gets no
    anchor, and a target can lose all its anchors to others; the assignment's report counts both.
    ``keep`` acts after the contest: a target that lost its k stays empty, even where its next best
    was free.

    Source: Feng et al., arXiv:2108.07755 (TOOD), section 3.2, eq. 1 and 2; k 13, alpha 1, beta 6.
    Deviations: "inside" is strict, MMDetection asks for 0.01 px more; the first epochs' ATSS
    warm-up is the trainer's.
    """

    k: int = 13
    alpha: float = 1.0
    beta: float = 6.0
    among: Literal["all", "inside"] = "all"
    min_side: float = 0.0
    overlap: Literal["iou", "ciou"] = "iou"
    contest: Literal["claimants", "candidates"] = "claimants"
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep < 1:
            raise ValueError(f"TAL.keep is at least 1, or None, got {self.keep}")
        if self.k < 1 or min(self.alpha, self.beta, self.min_side) < 0:
            raise ValueError(f"TAL needs k >= 1 and alpha, beta, min_side >= 0, got {self}")
        if self.among not in ("all", "inside"):
            raise ValueError(f"TAL.among is 'all' or 'inside', got {self.among!r}")
        if self.overlap not in ("iou", "ciou"):
            raise ValueError(f"TAL.overlap is 'iou' or 'ciou', got {self.overlap!r}")
        if self.contest not in ("claimants", "candidates"):
            raise ValueError(f"TAL.contest is 'claimants' or 'candidates', got {self.contest!r}")

    @classmethod
    def ultralytics(cls, middle_stride: float = 16.0) -> "TAL":
        """The settings of Ultralytics 8.4: k 10 inside, alpha 0.5, CIoU, sides below the middle
        stride enlarged.

        Where a target has fewer candidates with t > 0 than k, theirs fills up with candidates of t
        = 0 in the order of ``topk``; here those are never positive.
        """
        return cls(
            k=10,
            alpha=0.5,
            among="inside",
            min_side=middle_stride,
            overlap="ciou",
            contest="candidates",
        )

    @classmethod
    def one_to_one(cls, middle_stride: float = 16.0) -> "TAL":
        """The settings of Ultralytics 8.4 for the branch that needs no suppression: as
        ``ultralytics``, but k 7, of which one is kept."""
        return replace(cls.ultralytics(middle_stride), k=7, keep=1)

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        region = targets.boxes if self.min_side == 0 else enlarged(targets.boxes, self.min_side)
        pairs = anchors.inside(targets, region)
        metric, overlap = self._alignment(predictions, pairs)
        first = rank_below(metric, pairs.target, len(targets), self.k, largest=True)
        first = where(first < self.k)
        value = pick(metric, first)
        chosen = value > 0
        if self.among == "all":
            chosen &= (
                self._place_among_all(predictions, pairs.select(first), value, region) < self.k
            )
        rows = self._settle(pairs, first, chosen, metric, overlap)
        pairs, metric, overlap = pairs.select(rows), pick(metric, rows), pick(overlap, rows)
        if self.keep is not None:
            most = where(pairs.top_per_target(metric, self.keep))
            pairs, metric, overlap = pairs.select(most), pick(metric, most), pick(overlap, most)
        scale = pairs.max_per_target(overlap) / pairs.max_per_target(metric)
        return pairs.assignment(quality=(metric * scale[pairs.target]).clamp(max=1))

    def _alignment(self, predictions: Predictions, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """(P,) alignment t and (P,) overlap; t is 0 where nothing overlaps."""
        overlap = self._overlap(predicted_boxes(predictions, pairs), pairs.target_boxes())
        metric = class_logit(predictions, pairs).sigmoid() ** self.alpha * overlap**self.beta
        return torch.where(overlap > 0, metric, 0), overlap

    def _place_among_all(
        self, predictions: Predictions, pairs: Pairs, metric: Tensor, region: Tensor
    ) -> Tensor:
        """(P,) the place among the target's pairs with *all* anchors of the ``k`` first inside;
        where no anchor outside is better, any below ``k``.

        Of the anchors outside those matter whose t is above the least of these.
        """
        least = pairs.min_per_target(torch.where(metric > 0, metric, torch.inf))
        if self.beta > 0:
            floor = least ** (1 / self.beta) * (1 - 1e-5)
        else:
            floor = torch.where(least < torch.inf, 0.0, torch.inf)
        more = overlapping_outside(pairs, predictions, region, floor)
        value = self._alignment(predictions, more)[0]
        rivals = where(value > pick(least, more.target))
        if len(rivals) == 0:
            return torch.zeros_like(pairs.target)  # below k, as they are inside
        every = torch.cat([metric, pick(value, rivals)])
        owner = torch.cat([pairs.target, pick(more.target, rivals)])
        return rank(every, owner, largest=True)[: len(pairs)]

    def _overlap(self, boxes: Tensor, targets: Tensor) -> Tensor:
        return (ciou if self.overlap == "ciou" else iou)(boxes, targets).clamp(min=0)

    def _settle(
        self, pairs: Pairs, first: Tensor, chosen: Tensor, metric: Tensor, overlap: Tensor
    ) -> Tensor:
        """Rows: one pair for every anchor of the ``chosen`` (K,) of the rows ``first`` (K,)."""
        if self.contest == "claimants":
            value = torch.where(chosen, pick(overlap, first), -torch.inf)
            return pick(first, where(chosen & pairs.select(first).wins_anchor(value)))
        mask = torch.zeros_like(metric, dtype=torch.bool).index_put_((first,), chosen)
        return where(settle(pairs, mask, torch.where(metric > 0, overlap, -torch.inf)))
