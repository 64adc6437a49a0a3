"""FreeAnchor: bags of anchors, out of which the likelihood learns to choose."""

from dataclasses import dataclass, replace

from kedge.assign.shared.bag_terms import background_weights, mean_max_share, pair_scores
from kedge.assign.shared.costs import checked
from kedge.assign.shared.without_graph import without_graph
from kedge.losses.free_anchor import free_anchor_loss
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class FreeAnchor:
    """The ``k`` anchors of largest IoU are the bag of a target; none of them is forced to answer.

    `kedge.losses.free_anchor_loss` is the likelihood that chooses within the bags. ``weight`` is
    the share of an anchor in the mean-max of its bag, ``1 / (1 - p)`` scaled to sum 1, p = score *
    predicted IoU, for losses that need one weight per pair. ``background_weight`` is ``1 -
    P(anchor matches)`` for the class of every object that a *predicted* box overlaps by more than
    ``match_iou``: P rises from 0 there to 1 at the best predicted IoU of that object. Those
    predictions are found by a spatial join, not by comparing all with all.

    Edge cases: an anchor may stand in several bags. A target that fewer than ``k`` anchors touch
    has a smaller bag.

    Source: Zhang et al., arXiv:1909.02466, section 3.2, eq. 5 and 7; bag 50, threshold 0.6.
    Deviation: a bag has no anchors of IoU 0, with which the dense form fills it up.
    """

    k: int = 50
    match_iou: float = 0.6

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 < self.match_iou < 1:
            raise ValueError(f"FreeAnchor needs k >= 1 and 0 < match_iou < 1, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        bag = anchors.most_overlapping(targets, self.k)
        score, overlap = pair_scores(predictions, bag)
        assignment = bag.assignment(weight=mean_max_share(bag, score * overlap))
        unmatched = background_weights(anchors, targets, predictions, self.match_iou)
        return replace(assignment, background_weight=unmatched, likelihood=free_anchor_loss)
