"""Two Gaussians on a line, fitted to many short lists of numbers at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-6  # added to every variance, as scikit-learn's reg_covar
BURST = 5  # iterations between looks at which rows have converged


class Mixture(NamedTuple):
    """Log densities (G, K) under the mixture, and whether the first component is the likelier."""

    log_density: Tensor
    first: Tensor


def two_gaussians(values: Tensor, count: Tensor, steps: int = 100, tol: float = 1e-3) -> Mixture:
    """Expectation maximisation in every row of ``values`` (G, K); ``count`` (G,) of them are real.

    The real values come first and ascend. Start: equal weights, means at the smallest and largest
    value, variances 1. A row stops when its mean log likelihood changes by less than ``tol``. Rows
    are independent: what one row does never depends on another. In float64 where the device has
    it.

    Source: the fit that PAA (arXiv:2007.08103) asks scikit-learn for; same start, same stop.
    """
    wide = torch.float32 if values.device.type == "mps" else torch.float64
    real = torch.arange(values.shape[1], device=values.device) < count[:, None]
    x = torch.where(real, values.to(wide), 0)
    last = x.gather(1, (count - 1).clamp(min=0)[:, None]) if x.shape[1] else x.new_zeros(len(x), 1)
    first = x[:, :1] if x.shape[1] else last
    mean = torch.stack([first, last])
    fit = torch.stack([torch.full_like(mean, 0.5), mean, torch.ones_like(mean)])  # (3, 2, G, 1)
    rows = torch.arange(len(x), device=x.device)  # those that have not converged
    previous = torch.full_like(last, -math.inf)
    while steps > 0 and len(rows):
        burst = min(steps, BURST)
        fit[:, :, rows], previous, moving = _climb(
            x[rows], real[rows], fit[:, :, rows], previous, burst, tol
        )
        rows, previous = rows[moving], previous[moving]
        steps -= burst
    a, b = _log_joint(x, fit)
    return Mixture(torch.logaddexp(a, b), a >= b)


def _climb(
    x: Tensor, real: Tensor, fit: Tensor, previous: Tensor, steps: int, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``steps`` iterations: the new fit (3, 2, g, 1), its likelihood, which rows still move
    (g,)."""
    moving = torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
    size = real.sum(1, keepdim=True).clamp(min=1)
    for _ in range(steps):
        a, b = _log_joint(x, fit)
        fit = torch.where(moving, _maximise(x, real, a - b), fit)
        likelihood = (torch.logaddexp(a, b) * real).sum(1, keepdim=True) / size
        moving = moving & ~((likelihood - previous).abs() < tol)
        previous = likelihood
    return fit, previous, moving[:, 0]


def _log_joint(x: Tensor, fit: Tensor) -> Tensor:
    """(2, G, K) log of weight times density, for each component; ``fit`` (3, 2, G, 1) are the
    weights, the means and the variances of both."""
    weight, mean, variance = fit
    height = weight.log() - 0.5 * (2 * math.pi * variance).log()
    return height - (x - mean) ** 2 / (2 * variance)


def _maximise(x: Tensor, real: Tensor, odds: Tensor) -> Tensor:
    """The fit (3, 2, G, 1) for the log odds (G, K) of the first component."""
    share = torch.stack([odds, -odds]).sigmoid() * real
    mass = share.sum(2, keepdim=True) + 10 * torch.finfo(x.dtype).eps
    mean = (share * x).sum(2, keepdim=True) / mass
    variance = (share * (x - mean) ** 2).sum(2, keepdim=True) / mass + FLOOR
    return torch.stack([mass / mass.sum(0), mean, variance])
