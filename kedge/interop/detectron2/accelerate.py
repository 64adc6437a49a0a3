"""accelerate: Detectron2's RetinaNet and RPN label their anchors without the table."""

from torch import nn

from kedge.interop.detectron2.matching import SEAMS, peer_of
from kedge.interop.undo import Undo


def accelerate(model: nn.Module) -> Undo:
    """Replaces the matching of Detectron2's RetinaNet and RPN in ``model``; the undo restores it
    exactly.

    Labels stay what they were, but that an object that no anchor touches gets none, where
    Detectron2 makes every anchor positive. Batches of few objects are left to Detectron2.

    Errors: ``ValueError`` for a model without them, subclasses with a method of their own, a
    matcher whose labels are not (0, -1, 1), and one that is replaced already.
    """
    undo = Undo("Kedge matches for Detectron2's")
    try:
        for module in list(model.modules()):
            for seam in SEAMS:
                peer = peer_of(type(module), seam.owner)
                if peer is not None:
                    seam.put(module, peer, undo)
    except Exception:
        undo()
        raise
    if not undo.replaced:
        raise ValueError(f"{type(model).__name__} holds no RetinaNet and no RPN of Detectron2")
    return undo
