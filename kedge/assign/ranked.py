"""Ranked: the same number of anchors for every object, the most similar ones (tiny objects)."""

from dataclasses import dataclass, replace

from kedge.anchors.measures import Measure, measured
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The ``k`` most similar anchors of every object are positive, whatever their similarity is.

    An anchor that several objects rank goes to the most similar one, the lowest target among
    equals. Others are ignored where their similarity with some object reaches ``negative``, and
    background below.

    - ``measure``: the similarity, by name: ``"nwd"`` as published, ``"simd"``, ``"gcd"``, or
      ``"iou"``, which is what the anchors themselves measure.

    Edge cases: similarity 0 is never positive, so with ``"iou"`` an object that touches no anchor
    has none. An object that loses all its ``k`` anchors to others stays empty; the report says so.

    Source: Xu et al., arXiv:2206.13996 (NWD-RKA), and the released code: k 2, 0.3. Deviations:
    exactly ``k`` anchors, the lower among equals (there: all that equal one of the k values); a
    contested anchor goes to the best object (there: to the last).
    """

    k: int = 2
    negative: float = 0.3
    measure: Measure = "nwd"

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 < self.negative <= 1:
            raise ValueError(f"Ranked needs k >= 1 and negative in (0, 1], got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        similar = measured(anchors, self.measure, "Ranked")
        first = similar.most_overlapping(targets, self.k)
        first = first.select(first.iou() > 0)
        chosen = first.best_target_per_anchor(by=first.iou())
        near = similar.overlapping(targets, self.negative)
        return replace(chosen.assignment(ignored=near.anchor), anchors=anchors)
