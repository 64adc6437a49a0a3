"""Two readings of class logits, each with the loss that belongs to it."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F


class ClassScores(Protocol):
    """How class logits become probabilities, and what they cost at a positive."""

    def probability(self, logits: Tensor) -> Tensor:
        """(..., C) in [0, 1]."""
        ...

    def loss(self, logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
        """(P,) for logits (P, C), labels (P,) and soft targets ``quality`` (P,) in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class Softmax:
    """One class per anchor: cross-entropy, times ``quality``."""

    def probability(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    def loss(self, logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none") * quality


@dataclass(frozen=True, slots=True)
class Independent:
    """Classes do not compete: binary cross-entropy, the own class's target being ``quality``."""

    def probability(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def loss(self, logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
        target = F.one_hot(labels, logits.shape[-1]).to(logits) * quality[:, None].to(logits)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)
