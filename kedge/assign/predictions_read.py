"""Whether a strategy reads predictions: it needs them, takes them where it is given any, or lets
them be."""

import torch

from kedge.anchors.grid import Grid
from kedge.assign.guaranteed import without_guarantee
from kedge.types import Assigner, Targets


def needs_predictions(rule: Assigner, grid: Grid) -> bool:
    """Whether ``rule`` refuses to assign the anchors of ``grid`` without predictions."""
    side = float(min(grid.image_size))
    whole = Targets(
        boxes=torch.tensor([[0.0, 0.0, side, side]]),
        labels=torch.zeros(1, dtype=torch.int64),
        image=torch.zeros(1, dtype=torch.int64),
        ignore=torch.zeros(1, dtype=torch.bool),
        batch_size=1,
    )
    try:
        rule(grid, whole.to(grid.device))
    except ValueError as problem:
        if "needs predictions" in str(problem):
            return True
        raise
    return False


def takes_predictions(rule: Assigner) -> bool:
    """Whether ``rule`` works without predictions and chooses otherwise with them: what its
    attribute ``takes_predictions`` says, which a rule without it need not have."""
    return getattr(without_guarantee(rule), "takes_predictions", False)


def reads_predictions(rule: Assigner, grid: Grid) -> bool:
    """Whether ``rule`` chooses by predictions on ``grid`` where it is given some."""
    return takes_predictions(rule) or needs_predictions(rule, grid)
