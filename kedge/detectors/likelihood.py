"""The losses of strategies that learn from bags and soft weights, as losses of a detector."""

from dataclasses import dataclass

from torch import Tensor

from kedge.assign.auto_assign import AutoAssign
from kedge.assign.dw import DW
from kedge.assign.free_anchor import FreeAnchor
from kedge.assign.mal import MAL
from kedge.detectors.on_grid import on_grid
from kedge.detectors.retinanet_loss import DetectionLoss, RetinaNetLoss
from kedge.losses import auto_assign_loss, dw_loss, free_anchor_loss
from kedge.types import Assigner, Assignment, Predictions, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeAnchorLoss:
    """``free_anchor_loss`` for assignments of ``FreeAnchor`` and ``MAL``."""

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``positive`` and ``negative``."""
        return free_anchor_loss(predictions, assignment)


@dataclass(frozen=True, slots=True, kw_only=True)
class DWLoss:
    """``dw_loss`` for assignments of ``DW``."""

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``positive``, ``box`` and ``negative``."""
        return dw_loss(predictions, assignment)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAssignLoss:
    """``auto_assign_loss`` with the centre prior of ``assign``, which made the assignments."""

    assign: AutoAssign

    def __call__(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``positive``, ``negative`` and ``centre``."""
        prior = self.assign.prior(on_grid(predictions)[0], assignment)
        return auto_assign_loss(predictions, assignment, prior)


def loss_for(assign: Assigner) -> DetectionLoss:
    """The loss that belongs to a strategy: its published likelihood, else RetinaNet's."""
    if isinstance(assign, (FreeAnchor, MAL)):
        return FreeAnchorLoss()
    if isinstance(assign, DW):
        return DWLoss()
    if isinstance(assign, AutoAssign):
        return AutoAssignLoss(assign=assign)
    return RetinaNetLoss()
