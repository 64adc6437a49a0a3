"""Wise-IoU: an IoU loss whose weight depends on how unusual the error is."""

from typing import Literal

import torch
from torch import Tensor, nn

from kedge import boxes
from kedge.losses.iou import prepare
from kedge.losses.reduce import Reduction, reduce
from kedge.ranks import over_ranks


class WiseIoULoss(nn.Module):
    """``R * (1 - IoU) * focus``, R = exp(squared centre distance / squared enclosing diagonal).

    The diagonal carries no gradient. ``version`` 1 has focus 1; 2 ``outlier^gamma``; 3
    ``outlier / (delta * alpha^(outlier - delta))``, which fades both easy boxes and outliers, where
    ``outlier`` = (1 - IoU) / its running mean, without gradient. ``forward(inputs, targets)`` takes
    pairs as in `kedge.losses.iou`.

    The running mean (buffer ``mean``, starts at 1) moves by ``momentum`` towards the batch's mean
    at every training call that has pairs; in evaluation it is only read. Processes that train
    together have one mean.

    Raises ValueError for another version or a momentum outside [0, 1].

    Source: Tong et al., arXiv:2301.10051. ``alpha`` 1.7 and ``delta`` 2.7 are those of
    the authors' released code.
    """

    mean: Tensor

    def __init__(
        self,
        *,
        version: Literal[1, 2, 3] = 3,
        gamma: float = 0.5,
        alpha: float = 1.7,
        delta: float = 2.7,
        momentum: float = 0.01,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if version not in (1, 2, 3):
            raise ValueError(f"WiseIoULoss: version {version!r} must be 1, 2 or 3")
        if not 0 <= momentum <= 1:
            raise ValueError(f"WiseIoULoss: momentum {momentum} must lie in [0, 1]")
        self.version, self.momentum = version, momentum
        self.reduction: Reduction = reduction
        self.gamma, self.alpha, self.delta = gamma, alpha, delta
        self.register_buffer("mean", torch.ones(()))

    def _focus(self, loss: Tensor) -> Tensor:
        if self.version == 1:
            return torch.ones_like(loss)
        outlier = loss / self.mean.to(loss.dtype).clamp(min=1e-6)
        if self.version == 2:
            return outlier**self.gamma
        return outlier / (self.delta * self.alpha ** (outlier - self.delta))

    def _follow(self, loss: Tensor) -> None:
        """Moves the mean towards that of ``loss`` (P,), of all ranks."""
        total, count = over_ranks(
            torch.stack([loss.sum(), loss.new_tensor(float(len(loss)))]).to(self.mean.dtype)
        )
        now = torch.where(count > 0, total / count.clamp(min=1), self.mean)
        self.mean.lerp_(now, self.momentum)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of predicted ``inputs`` (P, 4) against ``targets`` (P, 4), reduced."""
        inputs, targets = prepare(inputs, targets, "WiseIoULoss")
        loss = 1 - boxes.iou(inputs, targets)
        if self.training:
            self._follow(loss.detach())
        squared = (boxes.centres(inputs) - boxes.centres(targets)).square().sum(dim=-1)
        diagonal = boxes.enclosing(inputs, targets).square().sum(dim=-1).detach()
        reach = torch.exp(squared / diagonal.clamp(min=1e-12))
        return reduce(reach * loss * self._focus(loss.detach()), self.reduction)
