"""What every loss shares: the reduction and the check of shapes."""

from typing import Literal

from torch import Tensor

Reduction = Literal["none", "sum", "mean"]


def reduce(loss: Tensor, reduction: Reduction) -> Tensor:
    """All elements ("none"), their sum, or their mean.

    The mean of no elements is 0, connected to the graph (its gradient is zero), where torch gives
    NaN.
    Raises ValueError for another word.
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / max(loss.numel(), 1)
    raise ValueError(f"reduction {reduction!r} must be 'none', 'sum' or 'mean'")


def check_same_shape(inputs: Tensor, targets: Tensor, loss: str) -> None:
    """ValueError unless both have one shape: broadcasting here hides a wrong target."""
    if inputs.shape != targets.shape:
        raise ValueError(
            f"{loss}: inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)} must have "
            "the same shape"
        )
