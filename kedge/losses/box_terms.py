"""Box losses of a pair, on codes or on decoded boxes, behind one contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from kedge.losses import giou_loss, smooth_l1_loss
from kedge.losses.on_grid import codes_of_pairs
from kedge.types import Assignment, Predictions, Targets


class BoxTerm(Protocol):
    """(P,) the box loss of every pair of an assignment."""

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeL1:
    """Smooth L1 on the codes, summed over them; ``beta`` 0 is plain L1.

    Learned shapes get their gradient through the wanted codes log(g / a).

    Source: arXiv:1504.08083 (smooth L1). RetinaNet's authors use beta 0.11, torchvision plain L1.
    """

    beta: float = 0.0

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> Tensor:
        code, goal = codes_of_pairs(predictions, targets, assignment)
        return smooth_l1_loss(code, goal, beta=self.beta, reduction="none").sum(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOverlap:
    """A loss of the IoU family on decoded boxes; GIoU by default.

    ``loss(found, wanted, reduction="none")`` is one of ``kedge.losses``. Decoding is differentiable
    in the anchor shapes, so learned ones get a gradient here too: that of width and of height, and
    through the centre shift, which deltas write in anchor sides.
    """

    loss: Callable[..., Tensor] = giou_loss

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> Tensor:
        found = predictions.boxes_at(assignment.anchor)
        return self.loss(found, targets.boxes[assignment.target], reduction="none")
