"""How a pair's box is learned: the terms that ``DenseLoss(box=...)`` takes, (P,) for P pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from kedge.boxes import area
from kedge.losses.codes import codes_of_pairs
from kedge.losses.distribution import distribution_focal_loss
from kedge.losses.ghm import GHMR
from kedge.losses.iou import giou_loss
from kedge.losses.smooth_l1 import balanced_l1_loss, smooth_l1_loss
from kedge.types import Assignment, Predictions


class BoxTerm(Protocol):
    """(P,) the box loss of every pair of an assignment."""

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor: ...


def residual_of_pairs(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P, 4) what the codes are off by, in the space in which the coder compares.

    Learned shapes get their gradient through the wanted codes, log(g / a).
    """
    codes, goal = codes_of_pairs(predictions, assignment)
    assert predictions.coder is not None
    return predictions.coder.residual(codes, goal)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeL1:
    """Smooth L1 on the codes, summed over them; ``beta`` 0 is plain L1.

    Source: arXiv:1504.08083 (smooth L1). RetinaNet's authors use beta 0.11, torchvision plain L1.
    """

    beta: float = 0.0

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        off = residual_of_pairs(predictions, assignment)
        zeros = torch.zeros_like(off)
        return smooth_l1_loss(off, zeros, beta=self.beta, reduction="none").sum(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancedL1:
    """Balanced L1 on the codes, summed over them: see ``balanced_l1_loss`` (Libra R-CNN)."""

    alpha: float = 0.5
    gamma: float = 1.5
    beta: float = 1.0

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        off = residual_of_pairs(predictions, assignment)
        return balanced_l1_loss(off, torch.zeros_like(off), alpha=self.alpha, gamma=self.gamma,
                                beta=self.beta, reduction="none").sum(1)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSquares:
    """Half the squared error of the codes, summed, times 2 - w h with ``by_size``.

    ``w h`` is the object's share of the image, so that a small object counts up to twice
    (darknet's yolo layers).
    """

    by_size: bool = True

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        error = residual_of_pairs(predictions, assignment).square().sum(1) / 2
        return error * object_scale(predictions, assignment) if self.by_size else error


def object_scale(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) 2 - w h of every pair's object, in shares of the image: between 1 and 2.

    Raises ``ValueError`` where the anchors do not know the image's size.
    """
    size = None if predictions.anchors is None else predictions.anchors.image_size
    if size is None:
        raise ValueError(
            "darknet weighs objects by their share of the image, whose size these anchors do not "
            "know: take by_size=False"
        )
    return 2 - (area(assignment.boxes) / (size[0] * size[1])).clamp(max=1)


class HarmonisedCodes(nn.Module):
    """GHM-R on the codes, summed: every gradient length weighs the same. Keeps running counts.

    The authors weigh it by 10 and divide by the number of codes.
    """

    def __init__(self, *, mu: float = 0.02, bins: int = 10, momentum: float = 0.7) -> None:
        super().__init__()
        self.loss = GHMR(mu=mu, bins=bins, momentum=momentum, reduction="none")

    def forward(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,)"""
        off = residual_of_pairs(predictions, assignment)
        return self.loss(off, torch.zeros_like(off)).sum(1)


class BoxOverlap(nn.Module):
    """A loss of the IoU family on decoded boxes; GIoU by default.

    ``loss(found, wanted)`` is one of ``kedge.losses``, a function or a module such as
    ``WiseIoULoss(reduction="none")``, whose running mean is then part of the detector's state.
    Decoding is differentiable in the anchor shapes, so learned ones get a gradient here too: that
    of width and of height, and through the centre shift, which deltas write in anchor sides.
    """

    def __init__(self, loss: Callable[..., Tensor] = giou_loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,)"""
        found = predictions.boxes_at(assignment.anchor, assignment.labels)
        if isinstance(self.loss, nn.Module):
            return self.loss(found, assignment.boxes)
        return self.loss(found, assignment.boxes, reduction="none")


class Distribution(nn.Module):
    """The distribution focal loss over the bins of the four sides, and an overlap loss beside it.

    ``weight`` 0.25 as in GFL; for a ``DistributionCoder``. ``overlap`` None: the bins alone.
    Source: arXiv:2006.04388, eq. 6.
    """

    def __init__(self, overlap: BoxTerm | None = None, *, weight: float = 0.25,
                 overlap_weight: float = 2.0) -> None:  # fmt: skip
        super().__init__()
        self.overlap, self.weight, self.overlap_weight = overlap, weight, overlap_weight

    def forward(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(P,)"""
        codes, goal = codes_of_pairs(predictions, assignment)
        if codes.shape[-1] == goal.shape[-1]:
            raise ValueError(
                "Distribution learns the bins of a DistributionCoder; this coder writes "
                f"{codes.shape[-1]} plain numbers: take CodeL1 or BoxOverlap"
            )
        bins = codes.unflatten(-1, (4, -1))
        loss = self.weight * distribution_focal_loss(bins, goal, reduction="none").mean(1)
        if self.overlap is None:
            return loss
        return loss + self.overlap_weight * self.overlap(predictions, assignment)
