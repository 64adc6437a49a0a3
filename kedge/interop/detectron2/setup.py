"""The anchors, the rule and the coder of a Detectron2 model, for the doctor."""

from typing import Any

import torch
from torch import nn

from kedge.coders import DeltaCoder
from kedge.doctor.setup import Setup
from kedge.interop.detectron2.matching import peer_of, rule_of
from kedge.interop.detectron2.parts import generator_of, owner_of
from kedge.interop.listed import listed_grid, padded


def setup_of(model: nn.Module, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in Detectron2's RetinaNet, or in its region proposal network.

    ``image_size`` (H, W): an image as it comes to the network, before it is padded. ``flags``: the
    words of a command line that mean the model. The model is left as it was.

    Errors: ``ValueError`` for other models, anchor generators, matchers and box transforms.
    """
    owner = owner_of(model)
    parts: list[Any] = list(model.modules())
    divisors = (part.backbone.size_divisibility for part in parts if hasattr(part, "backbone"))
    caps = ("max_detections_per_image", "test_topk_per_image")
    most = (getattr(part, name) for part in parts for name in caps if hasattr(part, name))
    full = padded(image_size, next(divisors, 0))
    return Setup(
        title=f"Detectron2's {type(owner).__name__}",
        grid=_grid(generator_of(owner), image_size, full),
        assign=rule_of(owner.anchor_matcher),
        coder=coder_of(owner.box2box_transform),
        flags=flags,
        focal=peer_of(type(owner), "RPN") is None,
        most=next(most, None),
    )


def coder_of(transform: Any) -> DeltaCoder:
    """The coder of a ``Box2BoxTransform``; ``ValueError`` for others."""
    if type(transform).__name__ not in ("Box2BoxTransform", "ShapeTransform"):
        raise ValueError(f"{type(transform).__name__} is not understood: Box2BoxTransform is")
    return delta_coder(transform.weights, transform.scale_clamp)


def delta_coder(weights: Any, highest: float) -> DeltaCoder:
    """The coder of these weights (x, y, w, h) and clamp of the log size."""
    x, y, w, h = (1 / float(weight) for weight in weights)
    return DeltaCoder(stds=(x, y, w, h), clamp=(None, highest))


def _grid(generator: Any, image_size: tuple[int, int], full: tuple[int, int]) -> Any:
    """The grid of the generator's anchors for maps of an image that is padded to ``full``."""
    strides = [(float(stride), float(stride)) for stride in generator.strides]
    cells = [tuple(int(-(-side // step)) for side, step in zip(full, s)) for s in strides]
    maps = [torch.empty(1, 0, *size) for size in cells]
    with torch.no_grad():
        boxes = [level.tensor.cpu() for level in generator(maps)]
    return listed_grid(image_size, strides, cells, boxes)  # pyright: ignore[reportArgumentType]
