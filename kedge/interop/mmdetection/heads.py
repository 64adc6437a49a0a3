"""The head of an MMDetection detector that has the anchors, and their grid."""

from typing import Any

import torch
from torch import nn

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.interop.listed import listed_grid
from kedge.interop.mmdetection.matching import plain


def detector_of(model: nn.Module) -> Any:
    """The detector inside whatever holds it; ``ValueError`` where there is none."""
    for module in model.modules():
        if hasattr(module, "extract_feat") and hasattr(head_of(module), "prior_generator"):
            return module
    raise ValueError(
        f"{type(model).__name__} holds no detector of MMDetection whose rpn_head or bbox_head has "
        "a prior_generator"
    )


def head_of(detector: Any) -> Any:
    """The head that has the anchors."""
    head = getattr(detector, "rpn_head", None)
    return getattr(detector, "bbox_head", None) if head is None else head


def cells_of(maps: Any) -> list[tuple[int, int]]:
    """(rows, columns) of every feature map."""
    return [tuple(one.shape[-2:]) for one in maps]


def grid_on(
    head: Any,
    image_size: tuple[int, int],
    cells: list[tuple[int, int]],
    device: torch.device | str = "cpu",
) -> Grid:
    """The grid of ``head`` on maps of (rows, columns)."""
    generator = head.prior_generator
    strides = [(float(y), float(x)) for x, y in generator.strides]
    if hasattr(generator, "base_anchors"):
        found = generator.grid_priors(cells, device=device)
        return listed_grid(image_size, strides, cells, [plain(part) for part in found])
    if type(generator).__name__ != "MlvlPointGenerator":
        kinds = "AnchorGenerator and its children, MlvlPointGenerator"
        raise ValueError(f"{type(generator).__name__} is not understood: {kinds} are")
    offset = 0.5 if type(head).__name__ == "YOLOXHead" else float(generator.offset)
    levels = [Level(stride=s, offset=offset, size=n) for s, n in zip(strides, cells, strict=True)]
    return Grid(image_size, levels).to(device)
