"""Anchors in the syntax of the framework where they will be pasted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Shape = tuple[float, float]
LevelShapes = tuple[float, Sequence[Shape]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """What a snippet is made of: levels in order of stride, input (H, W), offset in the cell."""

    strides: tuple[float, ...]
    shapes: tuple[tuple[Shape, ...], ...]
    image_size: tuple[int, int]
    offset: float

    def same_count(self, framework: str, why: str) -> int:
        counts = {len(level) for level in self.shapes}
        if len(counts) > 1:
            raise ValueError(
                f"{framework}: {why}; this design has {[len(x) for x in self.shapes]} shapes per "
                "level: design with per_level=[...] of equal numbers"
            )
        return counts.pop()


def snippet(
    framework: str,
    levels: Sequence[LevelShapes],
    image_size: int | tuple[int, int] = 640,
    offset: float = 0.5,
) -> str:
    """Code or configuration that puts ``levels`` into ``framework``.

    ``framework``: torchvision, detectron2, mmdetection, yolov5, darknet or kedge. ``levels``:
    (stride, [(w, h), ...]) per feature map, pixels, any order. ``image_size``: a side or (H, W).

    Errors: ``ValueError`` for an unknown framework, no level, a level without shapes, or numbers of
    shapes that the framework's heads cannot have.
    """
    writer = _WRITERS.get(framework)
    if writer is None:
        raise ValueError(f"framework: expected one of {', '.join(_WRITERS)}, got {framework!r}")
    plain = [(float(s), tuple((float(w), float(h)) for w, h in m)) for s, m in levels]
    ordered = sorted(plain, key=lambda level: level[0])
    if not ordered:
        raise ValueError("levels: expected at least one (stride, shapes)")
    for stride, shapes in ordered:
        if not shapes:
            raise ValueError(f"levels: stride {_number(stride)} has no shapes; leave it out")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    return writer(
        _Sheet(
            strides=tuple(s for s, _ in ordered),
            shapes=tuple(m for _, m in ordered),
            image_size=size,
            offset=offset,
        )
    )


def frameworks() -> tuple[str, ...]:
    """Names that ``snippet`` knows."""
    return tuple(_WRITERS)


def _number(x: float, digits: int = 2) -> str:
    text = f"{x:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{x:.0f}"
    return text or "0"


def _pairs(shapes: Sequence[Shape], digits: int = 2) -> str:
    inner = ", ".join(f"({_number(w, digits)}, {_number(h, digits)})" for w, h in shapes)
    return f"[{inner}]"


def _kedge(sheet: _Sheet) -> str:
    lines = ["from kedge import Grid, Level", "", "grid = Grid("]
    lines.append(f"    image_size=({sheet.image_size[0]}, {sheet.image_size[1]}),  # H, W")
    lines.append("    levels=[")
    for stride, shapes in zip(sheet.strides, sheet.shapes, strict=True):
        where = f"stride={_number(stride)}, offset={_number(sheet.offset)}"
        lines.append(f"        Level({where}, shapes={_pairs(shapes)}),")
    return "\n".join([*lines, "    ],", ")"])


def _table(sheet: _Sheet) -> list[str]:
    rows = [f"    {_pairs(shapes)}," for shapes in sheet.shapes]
    strides = ", ".join(_number(s) for s in sheet.strides)
    return [
        f"SHAPES = [  # (w, h) in pixels, one list for each of the strides {strides}",
        *rows,
        "]",
    ]


def _torchvision(sheet: _Sheet) -> str:
    count = sheet.same_count(
        "torchvision", "its heads are shared, every level needs as many shapes"
    )
    maps = len(sheet.strides)
    return "\n".join(
        [
            "import torch",
            "from torchvision.models.detection.anchor_utils import AnchorGenerator",
            "",
            *_table(sheet),
            f"STRIDES = [{', '.join(_number(s) for s in sheet.strides)}]",
            "",
            "",
            "def cell_anchors(shapes, stride):",
            f"    shift = {_number(sheet.offset)} * stride  # its own stand at the corner",
            "    wh = torch.tensor(shapes, dtype=torch.float32)",
            "    return torch.cat([shift - wh / 2, shift + wh / 2], dim=1)",
            "",
            "",
            "# sizes and ratios only tell the number of shapes; the exact ones are set below",
            f"anchor_generator = AnchorGenerator(sizes=(({'1, ' * count}),) * {maps}, "
            f"aspect_ratios=((1.0,),) * {maps})",
            "anchor_generator.cell_anchors = [",
            "    cell_anchors(shapes, stride) for shapes, stride in zip(SHAPES, STRIDES)",
            "]",
            "# RetinaNet(backbone, num_classes, anchor_generator=anchor_generator)",
            "# FasterRCNN(backbone, num_classes, rpn_anchor_generator=anchor_generator)",
        ]
    )


def _detectron2(sheet: _Sheet) -> str:
    sheet.same_count("detectron2", "its heads are shared, every level needs as many shapes")
    return "\n".join(
        [
            "import torch",
            "from detectron2.modeling.anchor_generator import (",
            "    ANCHOR_GENERATOR_REGISTRY,",
            "    BufferList,",
            "    DefaultAnchorGenerator,",
            ")",
            "",
            *_table(sheet),
            "",
            "",
            "@ANCHOR_GENERATOR_REGISTRY.register()",
            "class DesignedAnchors(DefaultAnchorGenerator):",
            "    def _calculate_anchors(self, sizes, aspect_ratios):",
            "        halves = [torch.tensor(shapes, dtype=torch.float32) / 2 for shapes in SHAPES]",
            "        return BufferList([torch.cat([-half, half], dim=1) for half in halves])",
            "",
            "",
            "# in your configuration (one feature per list above):",
            '# cfg.MODEL.ANCHOR_GENERATOR.NAME = "DesignedAnchors"',
            f"# cfg.MODEL.ANCHOR_GENERATOR.OFFSET = {_number(sheet.offset)}",
        ]
    )


def _mmdetection(sheet: _Sheet) -> str:
    sheet.same_count("mmdetection", "its YOLO heads predict as many shapes on every level")
    lines = [f"        {_pairs(shapes)}," for shapes in reversed(sheet.shapes)]
    strides = ", ".join(_number(s) for s in reversed(sheet.strides))
    note = []
    if sheet.offset != 0.5:
        note = [
            f"# designed for offset {_number(sheet.offset)}; this generator centres on the cell"
        ]
    return "\n".join(
        [
            *note,
            "# bbox_head of a YOLO-style model; featmap_strides must have the same order",
            "anchor_generator = dict(",
            "    type='YOLOAnchorGenerator',",
            "    base_sizes=[  # (w, h) in pixels, coarsest level first",
            *lines,
            "    ],",
            f"    strides=[{strides}])",
        ]
    )


def _yolov5(sheet: _Sheet) -> str:
    sheet.same_count("yolov5", "every level needs as many shapes")
    lines = ["anchors:"]
    for stride, shapes in zip(sheet.strides, sheet.shapes, strict=True):
        sides = ", ".join(f"{_number(w, 1)},{_number(h, 1)}" for w, h in shapes)
        power = stride.is_integer() and int(stride) & (int(stride) - 1) == 0
        name = f"P{int(stride).bit_length() - 1}/{int(stride)}" if power else f"stride {stride}"
        lines.append(f"  - [{sides}]  # {name}")
    return "\n".join([*lines, "# train with --noautoanchor, or these are fitted again"])


def _darknet(sheet: _Sheet) -> str:
    if len(sheet.strides) == 1:
        (stride,), (shapes,) = sheet.strides, sheet.shapes
        cells = ", ".join(f"{w / stride:.6g},{h / stride:.6g}" for w, h in shapes)
        head = f"# [region] layer (YOLOv2): anchors in cells of {_number(stride)} px"
        return "\n".join([head, f"anchors = {cells}", f"num={len(shapes)}"])
    every = [shape for level in sheet.shapes for shape in level]
    text = ", ".join(f"{_number(w, 1)},{_number(h, 1)}" for w, h in every)
    lines = ["# in every [yolo] layer:", f"anchors = {text}", f"num={len(every)}"]
    start = 0
    for stride, shapes in zip(sheet.strides, sheet.shapes, strict=True):
        mask = ",".join(str(i) for i in range(start, start + len(shapes)))
        filters = f"filters of the layer before it: {len(shapes)} * (classes + 5)"
        lines += [f"# [yolo] layer of stride {_number(stride)}; {filters}", f"mask = {mask}"]
        start += len(shapes)
    return "\n".join(lines)


_WRITERS: dict[str, Callable[[_Sheet], str]] = {
    "torchvision": _torchvision,
    "detectron2": _detectron2,
    "mmdetection": _mmdetection,
    "yolov5": _yolov5,
    "darknet": _darknet,
    "kedge": _kedge,
}
