"""AlignedOTA: SimOTA whose class cost asks for the score that the overlap deserves (DAMO-YOLO)."""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import inside_or_centre
from kedge.assign.shared.contest import settle
from kedge.assign.shared.costs import checked, predicted_boxes, soft_label_cost
from kedge.assign.shared.preferred import PENALTY, preferred
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class AlignedOTA:
    """The k cheapest candidates of every target, k = the integer part of its ``k`` largest IoUs'
    sum, >= 1.

    Cost: ``class_weight`` * quality focal loss, summed over classes, of the scores against the IoU
    at the target's class + ``iou_weight`` * -ln(IoU + 1e-7), + 1e5 unless the anchor's centre is
    both inside the target and within ``radius`` strides of its centre. All else is as in SimOTA:
    every anchor inside or near the centre of any target is a candidate, an anchor that several
    targets want goes to the candidate target to which it costs least, ``quality`` is the IoU of
    the predicted box.

    Edge cases: a target with no anchor nearby has none; one that loses all its anchors to cheaper
    targets stays empty.

    Source: Xu et al., arXiv:2211.15444 (DAMO-YOLO), as in the released code: k 10, radius 2.5,
    weights 1 and 3. Deviation: as SimOTA's, an anchor that is neither near the target nor overlaps
    it with its prediction is no candidate.
    """

    k: int = 10
    radius: float = 2.5
    class_weight: float = 1.0
    iou_weight: float = 3.0

    def __post_init__(self) -> None:
        if self.k < 1 or self.radius <= 0 or min(self.class_weight, self.iou_weight) < 0:
            raise ValueError(f"AlignedOTA needs k >= 1, radius > 0 and weights >= 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        own, good = inside_or_centre(anchors, targets, self.radius)
        price = partial(self._price, predictions)
        pairs, overlap, cost, claimed = preferred(own, good, predictions, price, self.k)
        rows = where(settle(pairs, claimed, -cost))
        return pairs.select(rows).assignment(quality=pick(overlap, rows))

    def _price(self, predictions: Predictions, pairs: Pairs, good: Tensor) -> tuple[Tensor, Tensor]:
        """(P,) overlap of the predicted boxes, and cost."""
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        cost = self.class_weight * soft_label_cost(predictions, pairs, overlap)
        return overlap, cost - self.iou_weight * (overlap + 1e-7).log() + PENALTY * ~good
