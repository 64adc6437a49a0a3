"""The distribution focal loss of Generalized Focal Loss."""

import torch
from torch import Tensor

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, reduce


def distribution_focal_loss(
    inputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy with the two bins around the target, weighted by their nearness.

    ``inputs`` (..., n + 1) are the logits of the bins 0, 1, ..., n of one side; ``targets`` (...)
    lie in [0, n] (values outside count as the border) and come from
    `kedge.coders.DistributionCoder.encode`. A head's (P, 4 * (n + 1)) is viewed as (P, 4, n + 1)
    first. With "none" the result has the shape of ``targets``. GFL weights it by 0.25.

    Raises ValueError when the shapes do not fit.

    Source: Li et al., arXiv:2006.04388, eq. 6. Deviation: exact at the last bin, where
    implementations that index bin y + 1 need targets below n.
    """
    if inputs.shape[:-1] != targets.shape or inputs.shape[-1] < 2:
        raise ValueError(
            f"distribution_focal_loss: inputs {tuple(inputs.shape)} must be the targets' shape "
            f"{tuple(targets.shape)} with the bins (two or more) as last dimension"
        )
    inputs, targets = at_least_float32(inputs, targets)
    last = inputs.shape[-1] - 1
    targets = targets.clamp(0, last)
    left = targets.detach().floor().clamp(max=last - 1)
    share = targets - left  # of the right bin
    index = torch.stack((left, left + 1), dim=-1).long()
    entropy = -inputs.log_softmax(dim=-1).gather(-1, index)
    return reduce((1 - share) * entropy[..., 0] + share * entropy[..., 1], reduction)
