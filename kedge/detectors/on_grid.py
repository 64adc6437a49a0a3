"""What the losses here need to know of predictions: their grid and their coder."""

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.types import Assignment, Coder, Predictions, Targets


def on_grid(predictions: Predictions) -> tuple[Grid, Coder]:
    """Grid and coder of a detector's predictions; ``ValueError`` for predictions without them."""
    grid, coder = predictions.anchors, predictions.coder
    if not isinstance(grid, Grid) or coder is None:
        raise ValueError(
            "a detector's loss and selection need predictions on its own Grid: "
            "take them from `head`, or build them with Predictions.from_codes"
        )
    return grid, coder


def codes_of_pairs(
    predictions: Predictions, targets: Targets, assignment: Assignment
) -> tuple[Tensor, Tensor]:
    """Predicted and wanted codes (P, D) of the pairs.

    The wanted codes carry the anchor shapes in their graph: log(g / a) is where a learned shape
    gets its gradient from.
    """
    grid, coder = on_grid(predictions)
    index = grid.local(assignment.anchor)
    goal = coder.encode(grid.boxes(index), targets.boxes[assignment.target], grid.stride(index))
    return predictions.codes_at(assignment.anchor), goal


def positives(assignment: Assignment) -> Tensor:
    """The sum of the pairs' weights: the number of positives where nothing is weighted."""
    return assignment.weight.sum()


def free_anchors(assignment: Assignment) -> Tensor:
    """(B N,) bool: anchors that stand in no pair, the ignored ones among them."""
    batch, count = assignment.shape
    free = torch.ones(batch * count, dtype=torch.bool, device=assignment.anchor.device)
    free[assignment.anchor] = False
    return free
