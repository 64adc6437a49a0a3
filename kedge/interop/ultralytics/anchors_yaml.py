"""The anchors of a yaml of YOLOv3 or YOLOv5 with ``anchors:``, read without Ultralytics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.assign.yolov5 import YOLOv5
from kedge.coders import YOLOv5Coder
from kedge.doctor.setup import Setup

Args = Sequence[Any]
_KEEP = {
    *("Concat", "C3", "C3TR", "C3SPP", "C3Ghost", "C3x", "BottleneckCSP", "Bottleneck"),
    *("SPP", "SPPF", "nn.ZeroPad2d", "nn.BatchNorm2d"),
}  # modules whose map is as large as what comes in
_GROWTH: dict[str, Callable[[Args], float]] = {
    "Focus": lambda args: 2,
    "nn.MaxPool2d": lambda args: args[1] if len(args) > 1 else args[0],
    "nn.Upsample": lambda args: 1 / args[1],
    "nn.ConvTranspose2d": lambda args: 1 / args[2],
    "Contract": lambda args: args[0],
    "Expand": lambda args: 1 / args[0],
    **dict.fromkeys(
        ("Conv", "DWConv", "GhostConv", "GhostBottleneck", "CrossConv", "nn.Conv2d"),
        lambda args: args[2] if len(args) > 2 else 1,
    ),
}


def setup_of_anchors(
    values: Mapping[str, Any], image_size: tuple[int, int], *, title: str, flags: str = ""
) -> Setup:
    """What meets the objects in the model of a yaml (``values``) with ``anchors``: YOLOv5's rule at
    its default ratio of 4.

    Errors: ``ValueError``, which names ``title``, for anchors that are no numbers, and for layers
    whose stride is not known.
    """
    try:
        shapes, strides = _shapes(values["anchors"]), _strides(values)
        levels = [Level(stride=s, shapes=part) for s, part in zip(strides, shapes, strict=True)]
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{title}: not the layers and anchors of a YOLO: {error}") from error
    return Setup(
        title=f"the anchors of {title}",
        grid=Grid(image_size, levels),
        assign=YOLOv5(),
        coder=YOLOv5Coder(),
        flags=flags,
        most=300,
    )


def _shapes(anchors: Any) -> list[list[tuple[float, float]]]:
    """Shapes (w, h) in pixels of every level."""
    if not isinstance(anchors, Sequence) or isinstance(anchors, str):
        raise ValueError(f"anchors: {anchors} states no shapes: YOLOv5 finds them when it trains")
    return [list(zip(map(float, row[::2]), map(float, row[1::2]), strict=True)) for row in anchors]


def _strides(values: Mapping[str, Any]) -> list[float]:
    """Strides of the maps that ``Detect`` takes, layer by layer from the image."""
    found: list[float] = []
    for number, (source, _, module, args) in enumerate([*values["backbone"], *values["head"]]):
        sources = source if isinstance(source, list) else [source]
        at = [found[s] if s >= 0 else (found[s] if found else 1.0) for s in sources]
        if module == "Detect":
            return at
        if len(set(at)) > 1:
            raise ValueError(f"layer {number} ({module}) joins maps of strides {at}")
        if module not in _KEEP and module not in _GROWTH:
            raise ValueError(f"layer {number}: {module} is not known")
        found.append(at[0] * (_GROWTH[module](args) if module in _GROWTH else 1))
    raise ValueError("there is no layer Detect")
