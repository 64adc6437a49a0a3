"""The anchors, the rule and the coder of a torchvision model, for the doctor."""

from typing import Any

import torch
from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.ssd import SSD

from kedge.anchors.recognise import recognise
from kedge.detectors.predict import evaluating
from kedge.doctor.setup import Setup
from kedge.interop.torchvision.dense import RetinaNetLoss
from kedge.interop.torchvision.rcnn import RPNTargets
from kedge.interop.torchvision.seam import Seam, delta_coder_of
from kedge.interop.torchvision.ssd import SSDLoss


def setup_of(model: nn.Module, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in torchvision's RetinaNet, SSD or R-CNN (its proposal network).

    ``image_size`` (H, W): the network's input, which an SSD has fixed. ``flags``: the words of a
    command line that mean the model. The model is left as it was.

    Errors: ``ValueError`` for other models, FCOS among them: points have no shapes to look at.
    """
    for module in model.modules():
        owner, kind = _owner(module)
        if owner is not None:
            seam = kind(owner, None, None)
            size = getattr(module.transform, "fixed_size", None)
            found = image_size if size is None else (size[1], size[0])
            return Setup(
                title=f"torchvision's {type(module).__name__}",
                grid=_grid(module, owner, found),
                assign=seam.rule,
                coder=delta_coder_of(_coder(owner)),
                flags=flags,
                focal=isinstance(owner, RetinaNet),
                most=_most(module),
            )
    raise ValueError(
        f"{type(model).__name__} holds no RetinaNet, SSD or R-CNN of torchvision: other models "
        "have no anchors whose fit could be looked at"
    )


def _owner(module: Any) -> tuple[Any, type[Seam]]:
    """What has the anchors of a detector, and its seam."""
    if isinstance(module, RetinaNet):
        return module, RetinaNetLoss
    if isinstance(module, SSD):
        return module, SSDLoss
    network = getattr(module, "rpn", None)
    return (network if isinstance(network, RegionProposalNetwork) else None), RPNTargets


def _most(detector: Any) -> int:
    return getattr(detector, "roi_heads", detector).detections_per_img


def _coder(owner: Any) -> Any:
    return owner.head.regression_head.box_coder if isinstance(owner, RetinaNet) else owner.box_coder


def _grid(detector: Any, owner: Any, size: tuple[int, int]) -> Any:
    """The grid of the anchors that the model makes for an image of ``size``."""
    with evaluating(detector):
        pixels = next(detector.parameters()).new_zeros(1, 3, *size)
        maps = detector.backbone(pixels)
        maps = [maps] if isinstance(maps, torch.Tensor) else list(maps.values())
        boxes = owner.anchor_generator(ImageList(pixels, [size]), maps)[0]
    found = recognise(boxes.cpu())
    return found.with_shapes(found.shapes)
