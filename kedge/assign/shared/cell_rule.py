"""YOLO's rule, versions 2 and 3: the best shape in the cell of an object's centre."""

from typing import Literal

import torch

from kedge.anchors.queries.predicted import well_predicted
from kedge.boxes import shape_iou, sizes
from kedge.types import Anchors, Assignment, Predictions, Targets

Siblings = Literal["background", "ignored", "positive"]


def best_shape_in_cell(
    anchors: Anchors,
    targets: Targets,
    predictions: Predictions | None,
    ignore_above: float,
    siblings: Siblings = "background",
    similar: float = 1.0,
) -> Assignment:
    """Of all levels' anchors in the cell of the object's centre the one whose shape fits best.

    The last object that wants an anchor gets it. Anchors whose predicted box overlaps an object by
    more than ``ignore_above`` are ignored; without predictions that rule rests. ``siblings``: what
    becomes of the cell's other anchors whose shape has an IoU of ``similar`` with the object.
    """
    cell = anchors.in_cell(targets)  # for every object all S shapes, the lowest anchor first
    shapes = anchors.shapes
    assert shapes is not None  # else there were no cells
    fit = shape_iou(shapes, sizes(targets.of_real(targets.boxes))[:, None])  # (g, S)
    best = fit.argmax(1) + torch.arange(0, len(cell), len(shapes), device=fit.device)
    chosen = cell.select(best).last_target_per_anchor()
    ignored = None
    if predictions is not None:
        ignored = well_predicted(anchors, targets, predictions.detach(), ignore_above)
    if siblings != "background":
        alike = cell.select(fit.flatten() >= similar).without(chosen)
        if siblings == "positive":
            chosen = chosen.join(alike.last_target_per_anchor())
        else:
            ignored = alike.anchor if ignored is None else torch.cat([ignored, alike.anchor])
    return chosen.assignment(ignored=ignored)
