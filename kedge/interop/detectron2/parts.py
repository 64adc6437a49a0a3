"""The parts of a Detectron2 model that have the anchors."""

from typing import Any

from torch import nn

from kedge.interop.detectron2.matching import SEAMS, peer_of


def owner_of(model: nn.Module) -> Any:
    """The RetinaNet or RPN in ``model``; ``ValueError`` where there is none."""
    for part in model.modules():
        if any(peer_of(type(part), seam.owner) is not None for seam in SEAMS):
            return part
    raise ValueError(f"{type(model).__name__} holds no RetinaNet and no RPN of Detectron2")


def generator_of(owner: Any) -> Any:
    """Its anchor generator; ``ValueError`` for one that is not ``DefaultAnchorGenerator``."""
    generator = owner.anchor_generator
    if type(generator).__name__ != "DefaultAnchorGenerator":
        raise ValueError(f"{type(generator).__name__} is not understood: DefaultAnchorGenerator is")
    return generator
