"""Probabilities as logarithms: products of scores and their complements without underflow."""

import torch
import torch.nn.functional as F
from torch import Tensor

_ONE = -1e-30  # log of the largest probability below one that a complement is taken of


def log_score(logit: Tensor, objectness: Tensor | None) -> Tensor:
    """``log(sigmoid(logit) * sigmoid(objectness))``; the second factor is 1 without objectness."""
    score = F.logsigmoid(logit)
    return score if objectness is None else score + F.logsigmoid(objectness)


def log_rest(log_p: Tensor) -> Tensor:
    """``log(1 - exp(log_p))`` for ``log_p`` <= 0, exact at both ends, with a finite gradient."""
    log_p = log_p.clamp(max=_ONE)
    close = log_p > -0.6931
    near = torch.log(-torch.expm1(torch.where(close, log_p, -1.0)))
    far = torch.log1p(-torch.exp(torch.where(close, -1.0, log_p)))
    return torch.where(close, near, far)
