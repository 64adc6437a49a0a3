"""YOLO's rule, versions 2 and 3: the best shape in the cell of an object's centre."""

from kedge.anchors.queries.predicted import well_predicted
from kedge.types import Anchors, Assignment, Predictions, Targets


def best_shape_in_cell(
    anchors: Anchors, targets: Targets, predictions: Predictions | None, ignore_above: float
) -> Assignment:
    """Of all levels' anchors in the cell of the object's centre the one whose shape fits best.

    The last object that wants an anchor gets it. Anchors whose predicted box overlaps an object by
    more than ``ignore_above`` are ignored; without predictions that rule rests.
    """
    cell = anchors.in_cell(targets)
    best = cell.top_per_target(cell.shape_iou(), k=1)
    chosen = cell.select(best).last_target_per_anchor()
    if predictions is None:
        return chosen.assignment()
    ignored = well_predicted(anchors, targets, predictions.detach(), ignore_above)
    return chosen.assignment(ignored=ignored)
