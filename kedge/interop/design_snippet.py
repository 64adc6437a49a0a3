"""A whole design in the syntax of the framework that it was asked for."""

from kedge.design import FRAMEWORKS, DesignReport, DesignSettings
from kedge.design.frameworks import FrameworkName
from kedge.design.resizing import Resizing
from kedge.interop.pyramid_snippets import pyramid_snippet
from kedge.interop.snippets import snippet


def design_snippet(report: DesignReport) -> str:
    """Code or configuration for ``report.settings.framework``, and the resizing that it is for.

    Errors: ``ValueError`` where its heads cannot have these shapes.
    """
    settings, found = report.settings, report.design.pyramid
    size = settings.resizing.size
    if found is None:
        text = snippet(settings.framework, report.levels, size, settings.offset)
    else:
        text = pyramid_snippet(
            settings.framework,
            sorted(settings.levels),
            found.sizes,
            found.scales,
            found.h_over_w,
            size,
            settings.offset,
        )
    return "\n".join([*resize_lines(settings), text])


def resize_lines(settings: DesignSettings) -> list[str]:
    """Comments: how images must come to the network for these anchors, in the framework's words."""
    usual = FRAMEWORKS[settings.framework].resize
    words = [f"designed for images {settings.resizing.text}"]
    if settings.resizing.rule != usual:
        words.append(f"{settings.framework} by itself does otherwise ({usual})")
    else:
        words += _own_words(settings.framework, settings.resizing)
    return [f"# {line}" for line in words]


def _own_words(framework: FrameworkName, resizing: Resizing) -> list[str]:
    height, width = resizing.size
    several, listed = len(resizing.sides) > 1, ", ".join(map(str, resizing.sides))
    match framework:
        case "torchvision":
            sides = f"({listed})" if several else listed
            return [f"RetinaNet(..., min_size={sides}, max_size={width})"]
        case "detectron2":
            return [
                f"INPUT.MIN_SIZE_TRAIN = ({listed},), INPUT.MAX_SIZE_TRAIN = {width}",
                f"INPUT.MIN_SIZE_TEST = {height}, INPUT.MAX_SIZE_TEST = {width}",
            ]
        case "mmdetection":
            pairs = ", ".join(f"({width}, {side})" for side in resizing.sides)
            if several:
                return [f"dict(type='RandomChoiceResize', scales=[{pairs}], keep_ratio=True)"]
            return [f"dict(type='Resize', scale={pairs}, keep_ratio=True)"]
        case "yolov5":
            side = max(height, width)
            draws = f" --multi-scale (draws sides from {side // 2} to {side * 3 // 2})"
            return [f"train.py --img {side}{draws if several else ''}"]
        case "darknet":
            return [
                f"[net] width={width} height={height}",
                *(["random=1 in the last [yolo] layer"] if several else []),
            ]
        case "kedge":
            return [f"kedge train --image-size {height} {width}"]
