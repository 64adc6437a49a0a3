"""A grid of another library's own anchor boxes, in cells that it states."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kedge.anchors.level import Level
from kedge.anchors.recognise import ListedGrid, require_fit
from kedge.boxes import centres, sizes


def listed_grid(
    image_size: tuple[int, int],
    strides: Sequence[tuple[float, float]],
    cells: Sequence[tuple[int, int]],
    boxes: Sequence[Tensor],
) -> ListedGrid:
    """The grid over ``image_size`` (H, W) whose anchors are ``boxes``, bit for bit.

    Of every level: its stride (y, x), its map's (rows, columns), its boxes (N, 4) by row, column,
    shape. Where in its cell an anchor lies, and the shapes, are read from the first cell.

    Errors: ``NotAGrid`` for boxes that stand elsewhere; ``ValueError`` for shapes of a cell without
    a common centre.
    """
    levels = []
    for number, (stride, size, part) in enumerate(zip(strides, cells, boxes, strict=True)):
        first = part[: len(part) // math.prod(size)].detach().cpu().double()
        x, y = common_centre(first, f"level {number}").tolist()
        if abs(x / stride[1] - y / stride[0]) > 1e-3:
            raise ValueError(f"level {number}: its anchors are moved by {x}, {y} px in their cells")
        offset, shapes = round(x / stride[1], 6), sizes(first).float()
        levels.append(Level(stride=stride, shapes=shapes, offset=offset, size=size))
    every = torch.cat(list(boxes)).detach()
    shapes = torch.cat([level.shapes_tensor() for level in levels]).to(every.device)
    grid = ListedGrid(image_size, levels, shapes).on(every)
    require_fit(grid, every)
    return grid


def common_centre(boxes: Tensor, where: str) -> Tensor:
    """(2,) the centre that ``boxes`` (P, 4) share; ``ValueError``, which begins with ``where``, if
    they do not."""
    centre = centres(boxes)
    if bool(((centre - centre[0]).abs() > 1e-3).any()):
        raise ValueError(f"{where}: the shapes of a cell do not share one centre")
    return centre[0]


def padded(image_size: tuple[int, int], divisor: int) -> tuple[int, int]:
    """(H, W) that a batch is padded to; ``divisor`` 0: not at all."""
    height, width = (math.ceil(side / max(divisor, 1)) * max(divisor, 1) for side in image_size)
    return height, width
