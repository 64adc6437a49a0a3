"""YOLOv7: YOLOv5's candidates, of which every object takes the cheapest as SimOTA does."""

from dataclasses import dataclass

from kedge.assign.shared.candidates import cheapest, dynamic_k, with_overlapping
from kedge.assign.shared.contest import settle
from kedge.assign.shared.costs import checked, predicted_boxes, root_score_cost
from kedge.assign.shared.near_cells import near_cells
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class YOLOv7:
    """The k cheapest of the shapes that match an object's, k = the integer part of its ``k``
    largest IoUs' sum, >= 1.

    An anchor is a candidate where neither side is off by ``max_ratio`` or more, in the cell of the
    object's centre and the neighbours nearer than ``reach`` of a cell, as in YOLOv5; a candidate of
    any object may be taken by every object that its predicted box overlaps. Cost:
    ``class_weight`` * binary cross-entropy, summed over classes, of ``sqrt(score * objectness)``
    + ``iou_weight`` * -ln(IoU + 1e-8). An anchor that several objects want goes to the candidate
    object to which it costs least. ``quality`` is the IoU of the predicted box.

    Needs a ``Grid``. Edge cases: an object of which no shape is near has none, unless it overlaps
    the prediction of another's candidate; nor has one that loses all to cheaper objects.

    Source: Wang et al., arXiv:2207.02696, and MMYOLO's code: ratio 4, k 10, weights 1 and 3.
    Deviations: as YOLOv5's and SimOTA's; an anchor that several objects match is one candidate
    (there it stands in the list once for each, and counts so often among the k largest IoUs).
    """

    max_ratio: float = 4.0
    reach: float = 0.5
    k: int = 10
    class_weight: float = 1.0
    iou_weight: float = 3.0

    def __post_init__(self) -> None:
        if self.max_ratio <= 1:
            raise ValueError(f"YOLOv7.max_ratio must be above 1, got {self.max_ratio}")
        if not 0 <= self.reach <= 0.5:
            raise ValueError(f"YOLOv7.reach is in cells, from 0 to 0.5, got {self.reach}")
        if self.k < 1 or min(self.class_weight, self.iou_weight) < 0:
            raise ValueError(f"YOLOv7 needs k >= 1 and weights >= 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        own = near_cells(anchors, targets, self.max_ratio, self.reach)
        pairs, _ = with_overlapping(own, predictions)
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        cost = self.class_weight * root_score_cost(predictions, pairs)
        cost = cost - self.iou_weight * (overlap + 1e-8).log()
        wanted = dynamic_k(overlap, pairs.target, len(targets), self.k)
        claimed = cheapest(cost, pairs.target, wanted, self.k)
        rows = where(settle(pairs, claimed, -cost))
        return pairs.select(rows).assignment(quality=pick(overlap, rows))
