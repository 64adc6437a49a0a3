"""accelerate: torchvision's detectors match as they did, without the table of anchors x objects."""

from typing import Any, Literal

from torch import nn

from kedge.interop.torchvision.dense import FCOSLoss, RetinaNetLoss
from kedge.interop.torchvision.rcnn import ProposalTargets, RPNTargets
from kedge.interop.torchvision.seam import Seam
from kedge.interop.torchvision.ssd import SSDLoss
from kedge.interop.undo import Undo
from kedge.losses import (
    BoxOverlap,
    Centreness,
    CodeL1,
    DenseLoss,
    Focal,
    Loss,
    SoftmaxCrossEntropy,
)
from kedge.types import Assigner

SEAMS: tuple[type[Seam], ...] = (RetinaNetLoss, FCOSLoss, SSDLoss, RPNTargets, ProposalTargets)
MODULE = "kedge_strategy"  # the name of a strategy with parameters, in the model


def accelerate(
    model: nn.Module, *, strategy: Assigner | None = None, loss: Literal["peer", "kedge"] = "peer"
) -> Undo:
    """Replaces the matching of torchvision's detectors in ``model``; the undo restores it exactly.

    RetinaNet, FCOS, SSD, SSDLite, and of Faster, Mask and Keypoint R-CNN the proposals and the
    boxes; wrapped models too. Labels, losses and gradients stay what they were, bit for bit, with
    these exceptions, where the table would have been large: FCOS gives a point to the smallest of
    several objects where torchvision's key cannot tell their areas apart; an object that no anchor
    touches gets none, where torchvision makes every anchor positive; SSD then gets none, where
    torchvision takes the first. A batch of few objects is left to torchvision's own method, which
    is as fast there.

    ``strategy`` takes the place of the rule that chooses anchors (in an R-CNN, of the proposal
    network's). torchvision's losses have no place for all that a strategy may say; what would be
    lost is refused when a batch comes. ``loss="kedge"`` trains RetinaNet, FCOS and SSD with Kedge's
    loss for the same outputs, which carries everything. A strategy with parameters becomes part of
    the model, so call this before the optimiser is made. One that changes in the course of a
    training (MAL) stays as it is given.

    The replaced model can be copied, averaged, saved and loaded (a file of the whole model then
    needs Kedge; a ``state_dict`` never does).

    ``undo = accelerate(model)``, ``undo()``; or ``with accelerate(model):``.

    Errors: ``ValueError`` for a model without such a detector, one that is replaced already, a
    method of another version or of a subclass, ``loss="kedge"`` for an R-CNN.
    """
    if loss not in ("peer", "kedge"):
        raise ValueError(f"loss is 'peer' or 'kedge', got {loss!r}")
    undo = Undo("Kedge matches for torchvision's")
    try:
        for module in list(model.modules()):
            for seam in SEAMS:
                if isinstance(module, seam.peer):
                    _put(seam, module, undo, strategy, loss == "kedge")
    except Exception:
        undo()
        raise
    if not undo.replaced:
        raise ValueError(
            f"{type(model).__name__} holds no RetinaNet, FCOS, SSD or R-CNN of torchvision"
        )
    return undo


def _put(seam: type[Seam], module: Any, undo: Undo, strategy: Assigner | None, ours: bool) -> None:
    lost = _loss_of(seam) if ours else None
    if ours and lost is None:
        raise ValueError("loss='kedge' is for RetinaNet, FCOS, SSD: an R-CNN samples its anchors")
    if seam is ProposalTargets:
        strategy = None  # proposals stand on no grid; the strategy is the first stage's
    seam.put(module, undo, strategy, lost)
    if isinstance(strategy, nn.Module):
        module.add_module(MODULE, strategy)
        undo.later(lambda: delattr(module, MODULE))


def _loss_of(seam: type[Seam]) -> Loss | None:
    """Kedge's loss for the outputs of torchvision's head."""
    if seam is RetinaNetLoss:
        return DenseLoss(classes=Focal(), box=CodeL1())
    if seam is FCOSLoss:
        return DenseLoss(classes=Focal(), box=BoxOverlap(), quality=Centreness())
    if seam is SSDLoss:
        return DenseLoss(classes=SoftmaxCrossEntropy(background=True), box=CodeL1(beta=1.0))
    return None
