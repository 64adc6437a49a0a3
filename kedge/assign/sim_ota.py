"""SimOTA: every target takes as many of its cheapest anchors as its overlaps say."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import inside_or_centre
from kedge.assign.shared.candidates import cheapest, dynamic_k
from kedge.assign.shared.contest import settle
from kedge.assign.shared.costs import checked, predicted_boxes, root_score_cost
from kedge.assign.shared.preferred import PENALTY, preferred
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class SimOTA:
    """The k cheapest candidates of every target, k = the integer part of its ``k`` largest IoUs'
    sum, >= 1.

    Cost: ``class_weight`` * binary cross-entropy, summed over classes, of ``sqrt(score *
    objectness)`` + ``iou_weight`` * -ln(IoU + 1e-7), + 1e5 unless the anchor's centre is both
    inside the target and within ``radius`` strides of its centre. An anchor that several
    targets want goes to the candidate target to which it costs least, even one that did not want
    it. ``quality`` is the IoU of the predicted box. Predictions without an objectness branch count
    as objectness 1.

    ``candidates``: ``"any"``, the published rule: every anchor that is inside, or near the centre
    of, *any* target may be taken by every target that its predicted box overlaps (a spatial join
    finds those); ``"own"``: only anchors inside, or near the centre of, the target itself;
    cheaper.

    Edge cases: a target with no anchor nearby has none; one that loses all its anchors to cheaper
    targets stays empty.

    Source: Ge et al., arXiv:2107.08430 (YOLOX), section 2.1, as in the first release and in
    MMDetection: k 10, radius 2.5, weights 1 and 3. Deviation: an anchor that is neither near the
    target nor overlaps it with its prediction is no candidate (the dense form can take one, at a
    cost above 1e5, when there is nothing else).
    """

    k: int = 10
    radius: float = 2.5
    class_weight: float = 1.0
    iou_weight: float = 3.0
    candidates: Literal["any", "own"] = "any"

    def __post_init__(self) -> None:
        if self.k < 1 or self.radius <= 0 or min(self.class_weight, self.iou_weight) < 0:
            raise ValueError(f"SimOTA needs k >= 1, radius > 0 and weights >= 0, got {self}")
        if self.candidates not in ("any", "own"):
            raise ValueError(f"SimOTA.candidates is 'any' or 'own', got {self.candidates!r}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        own, good = inside_or_centre(anchors, targets, self.radius)
        price = partial(self._price, predictions)
        if self.candidates == "any":
            pairs, overlap, cost, claimed = preferred(own, good, predictions, price, self.k)
        else:
            pairs, (overlap, cost) = own, price(own, good)
            wanted = dynamic_k(overlap, pairs.target, len(targets), self.k)
            claimed = cheapest(cost, pairs.target, wanted, self.k)
        rows = where(settle(pairs, claimed, -cost))
        return pairs.select(rows).assignment(quality=pick(overlap, rows))

    def _price(self, predictions: Predictions, pairs: Pairs, good: Tensor) -> tuple[Tensor, Tensor]:
        """(P,) overlap of the predicted boxes, and cost."""
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        cost = self.class_weight * root_score_cost(predictions, pairs)
        return overlap, cost - self.iou_weight * (overlap + 1e-7).log() + PENALTY * ~good
