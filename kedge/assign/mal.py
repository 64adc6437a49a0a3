"""MAL: bags of anchors, of which fewer and fewer are kept while training goes on."""

from dataclasses import dataclass, replace

from kedge.anchors.segments import rank
from kedge.assign.shared.bag_terms import background_weights, mean_max_share, pair_scores
from kedge.assign.shared.costs import checked
from kedge.assign.shared.without_graph import without_graph
from kedge.losses.free_anchor import free_anchor_loss
from kedge.rows import where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class MAL:
    """Of each target's bag of ``k`` anchors the best scoring share ``1 - progress``, at least one.

    The bag holds the ``k`` anchors of largest IoU, the score is class probability + ``box_weight``
    * predicted IoU, and floor(size * (1 - progress)) + 1 anchors stay: all at the start, one at the
    end. `MAL.at` gives the rule at a point of the run; the trainer asks it before every step.
    Loss, ``weight`` and ``background_weight`` are those of ``FreeAnchor``
    (`kedge.losses.free_anchor_loss`). The other half of the method, which hides the features of
    anchors that were chosen too early, is `kedge.nn.depression.depress`.

    Edge cases: as FreeAnchor's.

    Source: Ke et al., arXiv:1912.02252, section 3.2; the authors' code for bag 50 and threshold
    0.6. **Not verified**: the schedule of the number kept and the form of the score are not in the
    released code, which keeps the whole bag (``progress=0``), and were taken from descriptions of
    the paper.
    """

    k: int = 50
    match_iou: float = 0.6
    box_weight: float = 0.75
    progress: float = 0.0

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 < self.match_iou < 1 or self.box_weight < 0:
            raise ValueError(f"MAL needs k >= 1, 0 < match_iou < 1 and box_weight >= 0, got {self}")
        if not 0 <= self.progress <= 1:
            raise ValueError(f"MAL.progress is iteration / total, in [0, 1], got {self.progress}")

    def at(self, progress: float) -> "MAL":
        """This rule when the share ``progress`` of the training, in [0, 1], is over."""
        return replace(self, progress=progress)

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        bag = anchors.most_overlapping(targets, self.k)
        score, overlap = pair_scores(predictions, bag)
        left = (bag.count_per_target() * (1 - self.progress)).floor() + 1
        rows = rank(score + self.box_weight * overlap, bag.target, largest=True)
        rows = where(rows < left[bag.target])
        bag, joint = bag.select(rows), (score * overlap)[rows]
        assignment = bag.assignment(weight=mean_max_share(bag, joint))
        unmatched = background_weights(anchors, targets, predictions, self.match_iou)
        return replace(assignment, background_weight=unmatched, likelihood=free_anchor_loss)
