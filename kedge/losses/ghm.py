"""Gradient harmonising: every gradient length weighs the same, however many samples have it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce
from kedge.ranks import over_ranks, per_rank


class _GradientDensity(nn.Module):
    """Weights inversely proportional to the running count of samples in a sample's gradient bin."""

    count: Tensor

    def __init__(self, bins: int, momentum: float, warm_start: bool, reduction: Reduction) -> None:
        super().__init__()
        if bins < 1 or not 0 <= momentum < 1:
            raise ValueError(f"GHM: {bins=} must be positive and {momentum=} lie in [0, 1)")
        self.bins, self.momentum, self.warm_start = bins, momentum, warm_start
        self.reduction: Reduction = reduction
        self.register_buffer("count", torch.zeros(bins))

    def weights(self, length: Tensor, valid: Tensor) -> Tensor:
        """Weights like ``length``, gradient lengths in [0, 1]; 0 where not ``valid``. Sums to
        the number of valid samples when there is no momentum."""
        index = (length * self.bins).long().clamp(0, self.bins - 1)
        now = torch.zeros(self.bins, dtype=torch.int64, device=length.device)
        now = over_ranks(now.index_add(0, index.flatten(), valid.flatten().long()))
        count = self._running(now)
        inverse = torch.where(now > 0, 1 / count.clamp(min=1e-12), 0.0)
        scale = now.sum() / (now > 0).sum().clamp(min=1)
        return (inverse * scale).to(length.dtype)[index] * valid

    def _running(self, now: Tensor) -> Tensor:
        count = self.count.to(now.device)
        blend = self.momentum * count + (1 - self.momentum) * now
        if self.warm_start:
            blend = torch.where(count > 0, blend, now.to(count.dtype))
        count = torch.where(now > 0, blend, count)
        if self.training:
            self.count.copy_(count)
        return count

    def average(self, loss: Tensor, valid: Tensor) -> Tensor:
        """Reduction where "mean" divides by the number of valid samples."""
        if self.reduction == "mean":
            return loss.sum() / per_rank(valid.sum(), 1)
        return reduce(loss, self.reduction)


def _mask(valid: Tensor | None, like: Tensor) -> Tensor:
    if valid is None:
        return torch.ones_like(like, dtype=torch.bool)
    return valid.to(torch.bool).expand_as(like)


class GHMC(_GradientDensity):
    """GHM-C: cross-entropy weighted by the inverse density of gradient lengths ``|p - y|``.

    ``forward(inputs, targets, valid)``: logits and targets in [0, 1] of one shape; ``valid`` is a
    bool mask that broadcasts to it (None: all), False for ignored anchors. The gradient lengths of
    [0, 1] fall into ``bins``; the running count of a bin moves by ``1 - momentum`` towards the
    batch's whenever the bin is not empty. In evaluation the buffer ``count`` is read, not changed.
    Processes that train together count together.

    ``warm_start=True`` takes a bin's first count whole. The published form (False) starts from 0,
    so with momentum 0.75 the first loss is four times too large.

    Source: Li et al., arXiv:1811.05181.
    """

    def __init__(
        self,
        *,
        bins: int = 30,
        momentum: float = 0.75,
        warm_start: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(bins, momentum, warm_start, reduction)

    def forward(self, inputs: Tensor, targets: Tensor, valid: Tensor | None = None) -> Tensor:
        """The loss, reduced; "mean" divides by the number of valid elements."""
        check_same_shape(inputs, targets, "GHMC")
        inputs, targets = at_least_float32(inputs, targets)
        mask = _mask(valid, inputs)
        weight = self.weights((inputs.detach().sigmoid() - targets).abs(), mask)
        entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
        return self.average(weight * entropy, mask)


class GHMR(_GradientDensity):
    """GHM-R: ``sqrt(d^2 + mu^2) - mu`` on box codes, weighted by inverse gradient density.

    ``forward(inputs, targets, valid)``: box codes of one shape, e.g. (P, 4). The gradient length of
    an element is ``|d| / sqrt(d^2 + mu^2)`` in [0, 1). Counting, ``warm_start`` and ``valid`` as in
    `GHMC`. The authors weight the result by 10.

    Source: Li et al., arXiv:1811.05181.
    """

    def __init__(
        self,
        *,
        mu: float = 0.02,
        bins: int = 10,
        momentum: float = 0.7,
        warm_start: bool = True,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(bins, momentum, warm_start, reduction)
        if mu <= 0:
            raise ValueError(f"GHMR: mu {mu} must be positive")
        self.mu = mu

    def forward(self, inputs: Tensor, targets: Tensor, valid: Tensor | None = None) -> Tensor:
        """The loss, reduced; "mean" divides by the number of valid elements."""
        check_same_shape(inputs, targets, "GHMR")
        inputs, targets = at_least_float32(inputs, targets)
        mask = _mask(valid, inputs)
        difference = inputs - targets
        root = torch.sqrt(difference.square() + self.mu**2)
        weight = self.weights((difference.abs() / root).detach(), mask)
        return self.average(weight * (root - self.mu), mask)
