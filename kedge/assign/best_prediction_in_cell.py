"""BestPredictionInCell: YOLOv1's rule. In the cell of an object's centre the predictor that says it
best."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.assign.shared.costs import checked, predicted_boxes
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import centres, iou, sizes
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class BestPredictionInCell:
    """Of the predictors in the cell of the object's centre the one whose box overlaps it most.

    Where no box overlaps it, the one nearest in (cx, cy, w, h). A cell answers for one object, the
    first whose centre it holds: others there have none (on a pyramid: none in this cell). All other
    predictors are background, however well they fit. Equals: the first.

    Raises ``ValueError`` without predictions, and for anchors that are no grid.

    Source: Redmon et al., arXiv:1506.02640, section 2.2; darknet ``src/detection_layer.c``.
    Deviations: distances are in pixels, where darknet's are shares of the image's sides; an object
    centred outside the image belongs to the nearest cell.
    """

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        cell = anchors.in_cell(targets)
        first = cell.best_target_per_anchor(by=torch.zeros_like(cell.target, dtype=torch.float32))
        said, wanted = predicted_boxes(predictions, first), first.target_boxes()
        overlap = iou(said, wanted)
        fit = torch.where(overlap > 0, overlap, -_distance(said, wanted).nan_to_num(nan=torch.inf))
        return first.select(first.top_per_target(fit, k=1)).assignment()


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """(P,) of two boxes as (cx, cy, w, h)."""
    return torch.cat([centres(a) - centres(b), sizes(a) - sizes(b)], 1).norm(dim=1)
