"""How class outputs are read, and probabilities as logarithms: products and complements without
underflow."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from kedge.rows import pick_each

_ONE = -1e-30  # log of the largest probability below one that a complement is taken of


class ClassScores(Protocol):
    """How a head's class outputs (..., W) become probabilities of C classes."""

    def num_classes(self, width: int) -> int:
        """C, for outputs of ``width`` columns."""
        ...

    def outputs(self, num_classes: int) -> int:
        """W, the columns that C classes need."""
        ...

    def probability(self, logits: Tensor) -> Tensor:
        """(..., C) in [0, 1]."""
        ...

    def log_odds(self, logits: Tensor) -> Tensor:
        """(..., C) of which a sigmoid is the probability."""
        ...

    def log_odds_of(self, logits: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        """(P,) log odds of class ``labels`` (P,) at ``rows`` (P,) of logits (M, W)."""
        ...


def check_width(classes: ClassScores, width: int, num_classes: int) -> None:
    """``ValueError`` where a head's ``width`` outputs are not of C classes to these scores."""
    if classes.num_classes(width) != num_classes:
        raise ValueError(
            f"the head gives {width} class outputs for {num_classes} classes, which the loss reads "
            f"as {classes.num_classes(width)} ({classes}): give loss= when the detector is made"
        )


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Classes do not compete: a sigmoid for each."""

    def num_classes(self, width: int) -> int:
        return width

    def outputs(self, num_classes: int) -> int:
        return num_classes

    def probability(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def log_odds(self, logits: Tensor) -> Tensor:
        return logits

    def log_odds_of(self, logits: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        return pick_each(logits, rows, labels)


@dataclass(frozen=True, slots=True)
class Linear:
    """Outputs are probabilities themselves, cut to [0, 1] (YOLOv1)."""

    def num_classes(self, width: int) -> int:
        return width

    def outputs(self, num_classes: int) -> int:
        return num_classes

    def probability(self, logits: Tensor) -> Tensor:
        return logits.clamp(0, 1)

    def log_odds(self, logits: Tensor) -> Tensor:
        return torch.logit(logits, eps=1e-6)

    def log_odds_of(self, logits: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        return self.log_odds(pick_each(logits, rows, labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """One class for an anchor; with ``background`` the last column is "none of them"."""

    background: bool = False

    def num_classes(self, width: int) -> int:
        return width - self.background

    def outputs(self, num_classes: int) -> int:
        return num_classes + self.background

    def probability(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)[..., : self.num_classes(logits.shape[-1])]

    def log_odds(self, logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(-1)[..., : self.num_classes(logits.shape[-1])]
        return log_p - log_rest(log_p)

    def log_odds_of(self, logits: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        return self.log_odds(logits[rows]).gather(1, labels[:, None])[:, 0]


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
