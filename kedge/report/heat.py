"""What a detector of points sees: its heat maps over the picture, and the boxes they make."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from kedge.report import strokes
from kedge.report.draw import COLOURS
from kedge.report.selection import paler, panel, sheet
from kedge.report.style import numbers

_HOT = (255, 138, 31)
_FOUND = 12  # boxes of a picture; beyond it nothing can be told apart


def draw_heat(
    image: Any,
    heat: Mapping[str, Any],
    boxes: Any,
    found: Any = None,
    *,
    columns: int = 4,
) -> PIL.Image.Image:
    """A sheet of panels: every map of ``heat``, (C, H, W) or (H, W) in [0, 1], laid over the image
    under its name, the largest of its classes; and where ``found`` (n, 4) boxes are given, best
    first, a last panel with these and a line between the two corners that each was made of.

    ``boxes`` (g, 4): the objects, dashed. A map covers the whole of `image`, which is as for
    ``draw_boxes``.
    """
    if not heat:
        raise ValueError("draw_heat needs at least one map")
    picture, objects = strokes.to_image(image), numbers(boxes).reshape(-1, 4)
    panels = []
    for name, values in heat.items():
        cells = numbers(values)
        cells = cells.max(0) if cells.ndim == 3 else cells
        facts = f"at most {cells.max():.2f}, {int((cells >= 0.3).sum())} cells from .3 on"
        panels.append(panel(_drawn(_warmed(picture, cells), objects), name, facts))
    if found is not None:
        pairs = numbers(found).reshape(-1, 4)[:_FOUND]
        panels.append(
            panel(_drawn(paler(picture), objects, pairs), "found", f"the best {len(pairs)}")
        )
    return sheet(panels, columns)


def _warmed(picture: PIL.Image.Image, cells: NDArray[Any]) -> PIL.Image.Image:
    """The picture, paler, with a colour as strong as the map is there."""
    mask = PIL.Image.fromarray((255 * np.clip(np.nan_to_num(cells), 0, 1)).astype(np.uint8))
    mask = mask.resize(picture.size, PIL.Image.Resampling.BILINEAR)
    return PIL.Image.composite(PIL.Image.new("RGB", picture.size, _HOT), paler(picture), mask)


def _drawn(
    picture: PIL.Image.Image, objects: NDArray[Any], found: NDArray[Any] | None = None
) -> PIL.Image.Image:
    canvas = strokes.new_canvas(picture)
    for box in objects:
        strokes.box(canvas, box, "#ffffff", width=1.5, dashed=True)
    for number, box in enumerate(() if found is None else found):
        colour, ends = COLOURS[number % len(COLOURS)], (box * canvas.factor).tolist()
        canvas.pen.line([tuple(ends[:2]), tuple(ends[2:])], fill=colour, width=2)
        strokes.box(canvas, box, colour, width=2)
        for corner in (box[:2], box[2:]):
            strokes.dot(canvas, np.tile(corner, 2), colour, radius=6)
    return canvas.image
