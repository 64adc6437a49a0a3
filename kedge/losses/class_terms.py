"""How an anchor's classes are learned: the terms that ``DenseLoss(classes=...)`` takes.

A term is called once with the class outputs of R rows, of which the last P are pairs, with their
``labels`` and soft targets ``quality`` (P,), and those before are background. It gives a loss for
every row and class (R, C), or, where classes compete, for every row (R,). Rows where ``counts``
(R,) is false are left out of statistics; their losses are not used.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.losses.focal import focal_loss
from kedge.losses.ghm import GHMC
from kedge.losses.quality import quality_focal_loss, varifocal_loss
from kedge.scores import ClassScores, Linear, Sigmoid, Softmax


class ClassTerm(Protocol):
    """The class loss of every row, and how the outputs that it trains are read.

    ``balances``: easy background fades, so that it does not drown rare positives."""

    balances: ClassVar[bool]

    @property
    def scores(self) -> ClassScores:
        """How the class outputs become probabilities."""
        ...

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        """(R, C) or (R,) for logits (R, W), labels and quality (P,), counts (R,) bool."""
        ...


def soft_targets(logits: Tensor, labels: Tensor, quality: Tensor) -> Tensor:
    """(R, C) zeros, but in the last P rows the pair's ``quality`` at its class."""
    goal = torch.zeros_like(logits)
    first = len(logits) - len(labels)
    rows = torch.arange(first, len(logits), device=logits.device)
    goal[rows, labels] = quality.to(goal)
    return goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Focal:
    """The focal loss of RetinaNet; ``alpha=None, gamma=0`` is binary cross-entropy."""

    alpha: float | None = 0.25
    gamma: float = 2.0
    scores: ClassScores = field(default_factory=Sigmoid, init=False)
    balances: ClassVar[bool] = True

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        goal = soft_targets(logits, labels, quality)
        return focal_loss(logits, goal, alpha=self.alpha, gamma=self.gamma, reduction="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy:
    """Classes do not compete: binary cross-entropy for each."""

    scores: ClassScores = field(default_factory=Sigmoid, init=False)
    balances: ClassVar[bool] = False

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        goal = soft_targets(logits, labels, quality)
        return F.binary_cross_entropy_with_logits(logits, goal, reduction="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """Half the squared error of outputs that are probabilities as they are (YOLOv1)."""

    scores: ClassScores = field(default_factory=Linear, init=False)
    balances: ClassVar[bool] = False

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        return (logits - soft_targets(logits, labels, quality)).square() / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFocal:
    """Quality focal loss (GFL, RTMDet): the class target is the box's quality."""

    beta: float = 2.0
    scores: ClassScores = field(default_factory=Sigmoid, init=False)
    balances: ClassVar[bool] = True

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        goal = soft_targets(logits, labels, quality)
        return quality_focal_loss(logits, goal, beta=self.beta, reduction="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Varifocal:
    """Varifocal loss (VFNet): positives count by their quality."""

    alpha: float = 0.75
    gamma: float = 2.0
    scores: ClassScores = field(default_factory=Sigmoid, init=False)
    balances: ClassVar[bool] = True

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        goal = soft_targets(logits, labels, quality)
        return varifocal_loss(logits, goal, alpha=self.alpha, gamma=self.gamma, reduction="none")


class Harmonised(nn.Module):
    """GHM-C: cross-entropy in which every gradient length weighs the same. Keeps running counts.

    Divide by ``per_element``, as the authors do: ``DenseLoss(class_normalise=per_element)``, in
    settings ``loss: {classes: ghm, class_normalise: element}``.
    """

    balances: ClassVar[bool] = True

    def __init__(self, *, bins: int = 30, momentum: float = 0.75) -> None:
        super().__init__()
        self.loss = GHMC(bins=bins, momentum=momentum, reduction="none")
        self.scores: ClassScores = Sigmoid()

    def forward(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        """(R, C), 0 where not ``counts``."""
        return self.loss(logits, soft_targets(logits, labels, quality), counts[:, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxCrossEntropy:
    """One class for an anchor: cross-entropy over the classes, and with ``background`` a last
    column for "none of them".

    A pair's ``quality`` is the share of its class; the rest goes to background, and without such a
    column to nobody.
    """

    background: bool = True
    balances: ClassVar[bool] = False

    @property
    def scores(self) -> ClassScores:
        return Softmax(background=self.background)

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, counts: Tensor) -> Tensor:
        log_p, first = logits.log_softmax(-1), len(logits) - len(labels)
        own = log_p[first:].gather(1, labels[:, None])[:, 0] * quality
        if not self.background:
            return -torch.cat([torch.zeros_like(log_p[:first, 0]), own])
        own = own + log_p[first:, -1] * (1 - quality)
        return -torch.cat([log_p[:first, -1], own])
