"""POTO: one anchor for each target, by the predictions' quality (DeFCN)."""

from dataclasses import dataclass

from kedge.anchors.queries.regions import inside_and_centre
from kedge.assign.shared.costs import alignment, checked
from kedge.assign.shared.matching import heaviest_matching
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class POTO:
    """Prediction-aware one-to-one: the matching of targets and anchors of most quality.

    Quality is ``score^(1 - alpha) * IoU^alpha`` of the prediction. Candidates are the anchors
    inside the target and within ``radius`` strides of its centre. Every target that is matched
    counts for 1 more, as in the released code, so that a target rather gives way to another anchor
    than takes the last one of its neighbour. A detector that is trained so needs no suppression.

    Only candidates are compared, never all anchors with all targets. The solver runs on the CPU, as
    in the released code.

    Edge cases: a target without candidates, or that has to leave them all to others, has no anchor;
    the assignment's report counts it (the released code hands it any anchor at all).

    Source: Wang et al., arXiv:2012.03544, as in the released code: alpha 0.8, radius 1.5.
    """

    alpha: float = 0.8
    radius: float = 1.5

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or self.radius <= 0:
            raise ValueError(f"POTO needs alpha in [0, 1] and radius > 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = inside_and_centre(anchors, targets, self.radius)
        quality = alignment(predictions, pairs, self.alpha).nan_to_num(nan=0.0)
        mate = heaviest_matching(pairs.target, pairs.anchor, 1 + quality, len(targets))
        return pairs.select(mate).assignment()
