"""Two Gaussians on a line, fitted to many short lists of numbers at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-6  # added to every variance, as scikit-learn's reg_covar
CHECK_EVERY = 10  # iterations between looks at whether all have converged


class Mixture(NamedTuple):
    """Log densities (G, K) under the mixture, and whether the first component is the likelier."""

    log_density: Tensor
    first: Tensor


def two_gaussians(values: Tensor, count: Tensor, steps: int = 100, tol: float = 1e-3) -> Mixture:
    """Expectation maximisation for every row of ``values`` (G, K), of which ``count`` (G,) are
    real.

    The real values come first and ascend. Start: equal weights, means at the smallest and largest
    value, variances 1. A row stops when its mean log likelihood changes by less than ``tol``. Rows
    are independent: what one row does never depends on another. In float64 where the device has
    it.

    Source: the fit that PAA (arXiv:2007.08103) asks scikit-learn for; same start, same stop.
    """
    wide = torch.float32 if values.device.type == "mps" else torch.float64
    real = torch.arange(values.shape[1], device=values.device) < count[:, None]
    x = torch.where(real, values.to(wide), 0)
    ends = x if x.shape[1] else x.new_zeros(len(x), 1)  # no target has a candidate
    last = ends.gather(1, (count - 1).clamp(min=0)[:, None])[:, 0]
    weight = torch.full((len(x), 2), 0.5, dtype=wide, device=x.device)
    mean = torch.stack([ends[:, 0], last], dim=1)
    variance = torch.ones_like(mean)
    previous = torch.full_like(last, -math.inf)
    active = torch.ones_like(last, dtype=torch.bool)
    for step in range(steps):
        log = _log_joint(x, weight, mean, variance)
        both = log.logsumexp(-1)
        share = (log - both[..., None]).exp() * real[..., None]
        new = _maximise(x, share)
        old = (weight, mean, variance)
        weight, mean, variance = (
            torch.where(active[:, None], n, o) for n, o in zip(new, old, strict=True)
        )
        likelihood = (both * real).sum(1) / count.clamp(min=1)
        active = active & ~((likelihood - previous).abs() < tol)
        previous = likelihood
        if step % CHECK_EVERY == CHECK_EVERY - 1 and not bool(active.any()):
            break
    log = _log_joint(x, weight, mean, variance)
    return Mixture(log.logsumexp(-1), log[..., 0] >= log[..., 1])


def _log_joint(x: Tensor, weight: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """(G, K, 2) log of weight times density."""
    away = (x[..., None] - mean[:, None]) ** 2 / variance[:, None]
    return weight.log()[:, None] - 0.5 * (away + (2 * math.pi * variance).log()[:, None])


def _maximise(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and variances (G, 2) for the shares (G, K, 2) of the components."""
    mass = share.sum(1) + 10 * torch.finfo(x.dtype).eps
    mean = (share * x[..., None]).sum(1) / mass
    variance = (share * (x[..., None] - mean[:, None]) ** 2).sum(1) / mass + FLOOR
    return mass / mass.sum(1, keepdim=True), mean, variance
