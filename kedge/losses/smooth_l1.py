"""Losses on box codes, element by element: smooth L1 and balanced L1."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce


def smooth_l1_loss(
    inputs: Tensor, targets: Tensor, *, beta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """``d^2 / (2 * beta)`` below ``beta``, ``d - beta / 2`` above, with d = |inputs - targets|.

    Any shape, the same for both. ``beta`` 0 is L1; 1 is Fast R-CNN's, 1/9 that of torchvision's RPN
    and RoI heads, 0.11 RetinaNet's and FreeAnchor's. Raises ValueError for a negative ``beta`` and
    when the shapes differ.

    Source: Girshick, arXiv:1504.08083, eq. 3.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta {beta} must not be negative")
    check_same_shape(inputs, targets, "smooth_l1_loss")
    inputs, targets = at_least_float32(inputs, targets)
    return reduce(F.smooth_l1_loss(inputs, targets, beta=beta, reduction="none"), reduction)


def balanced_l1_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.5,
    gamma: float = 1.5,
    beta: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Balanced L1: easy samples (d < beta) pull harder than in smooth L1, hard ones no harder.

    With ``b = exp(gamma / alpha) - 1`` and u = d / beta: ``alpha / b * (b u + 1) * log(b u + 1) -
    alpha u`` below u = 1, ``gamma u + gamma / b - alpha`` above, times beta. Any shape, the same
    for both.

    Raises ValueError unless alpha, gamma and beta are positive, and when the shapes differ.

    Source: Pang et al., arXiv:1904.02701 (Libra R-CNN), where beta = 1. Deviation: for
    other beta the whole curve is scaled, so value and slope stay continuous; the slope of
    MMDetection's form jumps at beta.
    """
    if not (alpha > 0 and gamma > 0 and beta > 0):
        raise ValueError(f"balanced_l1_loss: {alpha=}, {gamma=}, {beta=} must all be positive")
    check_same_shape(inputs, targets, "balanced_l1_loss")
    inputs, targets = at_least_float32(inputs, targets)
    b = math.expm1(gamma / alpha)
    u = (inputs - targets).abs() / beta
    low = u.clamp(max=1)  # keeps the branch that is not taken finite
    small = alpha / b * (b * low + 1) * torch.log1p(b * low) - alpha * low
    large = gamma * u + gamma / b - alpha
    return reduce(beta * torch.where(u < 1, small, large), reduction)
