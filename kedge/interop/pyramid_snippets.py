"""RetinaNet-style anchors (a size per level, scales, ratios) in the parameters of a framework."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kedge.anchors.presets import ratio_shapes, torchvision_rounded
from kedge.interop.snippets import frameworks, snippet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    strides: tuple[float, ...]
    sizes: tuple[float, ...]
    scales: tuple[float, ...]
    h_over_w: tuple[float, ...]
    image_size: tuple[int, int]
    offset: float

    @property
    def scaled(self) -> list[list[float]]:
        """Every level's sizes, scales multiplied in."""
        return [[size * scale for scale in self.scales] for size in self.sizes]


def pyramid_snippet(
    framework: str,
    strides: Sequence[float],
    sizes: Sequence[float],
    scales: Sequence[float],
    h_over_w: Sequence[float],
    image_size: int | tuple[int, int] = 640,
    offset: float = 0.5,
) -> str:
    """Code or configuration that puts these anchors into ``framework``.

    The shapes of a level are w = size * scale / sqrt(r), h = size * scale * sqrt(r), r = h / w.
    torchvision, Detectron2 and MMDetection get sizes and ratios, kedge a grid; darknet and YOLOv5
    know no such parameters and get the shapes. torchvision rounds half sides to whole pixels; the
    snippet says how much that changes.

    Errors: ``ValueError`` for an unknown framework, and unless there is a size for every stride and
    at least one level, scale and ratio.
    """
    if framework not in frameworks():
        raise ValueError(f"framework: expected one of {', '.join(frameworks())}, got {framework!r}")
    if len(sizes) != len(strides) or not (strides and scales and h_over_w):
        raise ValueError(
            f"expected a size for each of {len(strides)} strides, got {len(sizes)}; and at least "
            "one scale and ratio"
        )
    writer = _WRITERS.get(framework)
    if writer is None:
        shapes = [ratio_shapes([size * x for x in scales], h_over_w) for size in sizes]
        levels = [
            (s, sorted(level, key=lambda p: p[0] * p[1])) for s, level in zip(strides, shapes)
        ]
        return snippet(framework, levels, image_size, offset)
    both = (image_size, image_size) if isinstance(image_size, int) else image_size
    pairs = sorted(zip(map(float, strides), map(float, sizes)))
    return writer(
        _Sheet(
            strides=tuple(s for s, _ in pairs),
            sizes=tuple(s for _, s in pairs),
            scales=tuple(map(float, scales)),
            h_over_w=tuple(map(float, h_over_w)),
            image_size=both,
            offset=offset,
        )
    )


def _list(values: Sequence[float], digits: int = 4) -> str:
    return ", ".join(f"{x:.{digits}f}".rstrip("0").rstrip(".") for x in values)


def _tuple(values: Sequence[float], digits: int = 4) -> str:
    return f"({_list(values, digits)}{',' if len(values) == 1 else ''})"


def _kedge(sheet: _Sheet) -> str:
    rows = [
        f"    {_list([stride])}: [{_list(sizes, 2)}],"
        for stride, sizes in zip(sheet.strides, sheet.scaled)
    ]
    return "\n".join(
        [
            "from kedge import Grid, Level",
            "from kedge.anchors.presets import ratio_shapes",
            "",
            "SIZES = {  # stride: square roots of the areas, in pixels",
            *rows,
            "}",
            f"H_OVER_W = [{_list(sheet.h_over_w)}]",
            "",
            "grid = Grid(",
            f"    image_size=({sheet.image_size[0]}, {sheet.image_size[1]}),  # H, W",
            "    levels=[",
            f"        Level(stride=stride, offset={_list([sheet.offset])}, "
            "shapes=ratio_shapes(sizes, H_OVER_W))",
            "        for stride, sizes in SIZES.items()",
            "    ],",
            ")",
        ]
    )


def _torchvision(sheet: _Sheet) -> str:
    exact = [shape for sizes in sheet.scaled for shape in ratio_shapes(sizes, sheet.h_over_w)]
    off = max(
        abs(a / b - 1)
        for shape, whole in zip(exact, torchvision_rounded(exact))
        for a, b in zip(whole, shape)
    )
    rows = [f"    {_tuple(sizes, 2)}," for sizes in sheet.scaled]
    maps = len(sheet.strides)
    lines = [
        "from torchvision.models.detection.anchor_utils import AnchorGenerator",
        "",
        f"# a tuple for each of the strides {_list(sheet.strides)}: square roots of areas, pixels;",
        "# w = size / sqrt(r), h = size * sqrt(r), r = h / w. torchvision rounds half a side to a",
        f"# whole pixel: here a side changes by {off:.1%} at most",
        "SIZES = (",
        *rows,
        ")",
        f"H_OVER_W = {_tuple(sheet.h_over_w)}",
        "",
        f"anchor_generator = AnchorGenerator(sizes=SIZES, aspect_ratios=(H_OVER_W,) * {maps})",
    ]
    if sheet.offset:
        lines += [
            "# its anchors stand at the corner of their cell; move them to where these were meant",
            "anchor_generator.cell_anchors = [",
            f"    cell + {_list([sheet.offset])} * stride",
            f"    for cell, stride in zip(anchor_generator.cell_anchors, {_tuple(sheet.strides)})",
            "]",
        ]
    return "\n".join(
        [
            *lines,
            "# RetinaNet(backbone, num_classes, anchor_generator=anchor_generator)",
            "# FasterRCNN(backbone, num_classes, rpn_anchor_generator=anchor_generator)",
        ]
    )


def _detectron2(sheet: _Sheet) -> str:
    rows = [f"      - [{_list(sizes, 2)}]" for sizes in sheet.scaled]
    return "\n".join(
        [
            f"# one list of SIZES per feature, strides {_list(sheet.strides)}; ratios are h / w",
            "MODEL:",
            "  ANCHOR_GENERATOR:",
            "    NAME: DefaultAnchorGenerator",
            "    SIZES:",
            *rows,
            f"    ASPECT_RATIOS: [[{_list(sheet.h_over_w)}]]",
            f"    OFFSET: {_list([sheet.offset])}",
        ]
    )


def _mmdetection(sheet: _Sheet) -> str:
    centres = ", ".join(f"({_list([c])}, {_list([c])})" for c in _centres(sheet))
    return "\n".join(
        [
            "# bbox_head of a RetinaNet-style model, or the rpn_head; ratios are h / w",
            "anchor_generator = dict(",
            "    type='AnchorGenerator',",
            f"    base_sizes=[{_list(sheet.sizes, 2)}],  # in place of the strides",
            f"    scales=[{_list(sheet.scales)}],",
            f"    ratios=[{_list(sheet.h_over_w)}],",
            f"    strides=[{_list(sheet.strides)}],",
            *([f"    centers=[{centres}],"] if sheet.offset else []),
            ")",
        ]
    )


def _centres(sheet: _Sheet) -> list[float]:
    return [sheet.offset * stride for stride in sheet.strides]


_WRITERS: dict[str, Callable[[_Sheet], str]] = {
    "torchvision": _torchvision,
    "detectron2": _detectron2,
    "mmdetection": _mmdetection,
    "kedge": _kedge,
}
