"""What the cells of a level are to an object: how far off, and how much of an overlap is lost."""

import torch
from torch import Tensor

from kedge.boxes import centres, side_overlap


def off_cells(boxes: Tensor, strides: Tensor, offsets: Tensor) -> Tensor:
    """(n, L, 2) how far, in pixels along x and y, centres of ``boxes`` (n, 4) are from the nearest
    anchor of levels with ``strides`` (L, 2), x then y, and ``offsets`` (L, 2) in their cells. Cells
    go on beyond the border of the image."""
    cell = centres(boxes)[:, None] / strides - offsets
    return (cell - cell.round()).abs() * strides


def iou_off(side: Tensor, shape: Tensor, away: Tensor) -> Tensor:
    """(n, S) IoU of boxes of sizes ``side`` and anchors of sizes ``shape`` whose centres are
    ``away``: (n, S, 2), or what broadcasts to it."""
    shared = side_overlap(side, shape, away).prod(-1)
    return shared / (side.prod(-1) + shape.prod(-1) - shared)


def unplaced(size: Tensor, strides: Tensor) -> Tensor:
    """(n, L) what the cells of levels with ``strides`` (L, 2), x then y, cost objects of ``size``
    (n, 2): minus the logarithm of the IoU with an anchor of the object's own shape at the nearest
    cell, by the mean overlap along each axis over all places of the object."""
    half, side = strides / 2, size[:, None]
    reach = torch.minimum(half, side)  # how far off the overlap lasts
    shared = ((reach - reach.square() / (2 * side)) / half).prod(-1)  # of an area that is 1
    return -(shared / (2 - shared)).log()
