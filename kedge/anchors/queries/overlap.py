"""Queries about overlaps, exact and in closed form.

The intersection of an object with an anchor is ``ox * oy``: one overlap depends on the column only,
the other on the row only. So an object meets an anchor shape in one interval of rows and, within
each row, in one interval of columns (a run of cells), from one division each. Runs are rounded
outward by a hair, filled, and the exact quantity is computed with the arithmetic of the dense form.
Work and memory grow with the pairs that are returned, never with anchors x objects.
"""

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.layout import Layout
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.cells import (
    Block,
    Found,
    Runs,
    asked,
    blocks,
    fill,
    flat,
    interval,
    join_found,
    kept,
    measure,
    product,
    rectangles,
    wide_dtype,
)
from kedge.anchors.queries.join import spread
from kedge.boxes import iof, iou, side_overlap
from kedge.rows import pick, where
from kedge.types import Targets

SLACK = 1e-5  # relative; float32 rounds an IoU by less


def _overlap_runs(grid: Layout, block: Block, need: Tensor) -> Runs:
    """Runs of every cell whose anchor shares at least ``need`` (g, S) pixels with the object."""
    rows, shape = grid.rows, grid.shapes.detach().to(block.boxes.dtype)
    side, hair = block.boxes[:, 2:] - block.boxes[:, :2], block.hair[:, None]
    # what an axis can overlap at most: the smaller of the two sides
    most_x = torch.minimum(side[:, :1], shape[:, 0]) + hair
    most_y = torch.minimum(side[:, 1:], shape[:, 1]) + hair
    solid = (side[:, :1] > 0) & (side[:, 1:] > 0)
    at = where(((need <= most_x * most_y) & solid).flatten())
    g = at.div(len(shape), rounding_mode="floor")
    row = at - g * len(shape)
    # so the rows overlap by at least need / most_x
    box, half, hair = pick(block.boxes, g), pick(shape / 2, row), pick(block.hair, g)
    need, most_x = pick(need.flatten(), at), pick(most_x.flatten(), at)
    stride, offset, cells = (pick(c, row) for c in (rows.step, rows.offset, rows.cells))
    reach = half[:, 1] - need / most_x + hair
    y, count = interval(box[:, 1] - reach, box[:, 3] + reach, stride[:, 1], offset, cells[:, 1])
    # with the row known, its overlap is known, and the columns follow exactly
    source, step = spread(count)
    known = torch.cat([box, half, hair[:, None], need[:, None], stride, offset[:, None]], dim=1)
    x1, y1, x2, y2, half_x, half_y, hair, need, stride_x, stride_y, offset = pick(
        known, source
    ).unbind(1)
    row, y = pick(row, source), pick(y, source) + step
    centre = (y + offset) * stride_y
    overlap = torch.minimum(y2, centre + half_y) - torch.maximum(y1, centre - half_y)
    reach = half_x + hair - need / (overlap + hair).clamp(min=1e-12)
    x, count = interval(x1 - reach, x2 + reach, stride_x, offset, pick(rows.columns, row))
    return Runs(pick(pick(block.target, g), source), row, y, x, count)


@detached
def overlapping(
    grid: Layout, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou`` and IoU > 0, with its IoU.

    ``min_iou`` may be (G, 1), one for each object. ``among``: unique flat ids (Q,) to which the
    anchors are restricted; ``min_iou`` may then be a tensor (Q,), one for each.
    """
    question = asked(grid, targets, min_iou, among)
    found = []
    for block in blocks(grid, targets, targets.real, grid.num_shapes):
        shape = grid.shapes.detach().to(block.boxes.dtype) - block.hair[:, None, None]
        side = block.boxes[:, 2:] - block.boxes[:, :2]
        area = product(side)[:, None] + product(shape.clamp(min=0))
        share = question.least(targets, block).clamp(min=0) * (1 - SLACK)
        runs = _overlap_runs(grid, block, share / (1 + share) * area)
        cells, floor = question.cells(grid, targets, runs)
        value = measure(grid, targets, cells, iou)
        cells, rows = kept(cells, (value >= floor) & (value > 0))
        found.append(Found(cells.target, flat(grid, targets, cells), pick(value, rows)))
    return join_found(grid, targets, found)


@detached
def covered(grid: Layout, targets: Targets, min_iof: float) -> Tensor:
    """Flat ids, unique, of anchors of which one ``ignore`` object covers the share ``min_iof``."""
    if min_iof <= 0:
        raise ValueError(f"min_iof must be positive, got {min_iof}")
    if len(targets.crowds) == 0:
        return targets.crowds
    found = []
    for block in blocks(grid, targets, targets.crowds, grid.num_shapes):
        shape = grid.shapes.detach().to(block.boxes.dtype) - block.hair[:, None, None]
        need = min_iof * (1 - SLACK) * product(shape.clamp(min=0))
        cells = fill(_overlap_runs(grid, block, need))
        cells, _ = kept(cells, measure(grid, targets, cells, iof) >= min_iof)
        found.append(flat(grid, targets, cells))
    return torch.cat(found).unique()


def placed_iou(grid: Layout, boxes: Tensor) -> Tensor:
    """(g, S): the largest IoU of every box (g, 4) with every shape over all cells, in closed form.

    Columns and rows separate: it is reached where both centres are nearest.
    """
    return _placed(grid, boxes.to(wide_dtype(grid.device)))[0]


def _placed_on_axis(grid: Layout, boxes: Tensor, axis: int) -> Tensor:
    """(g, S): the largest overlap of every box with every shape along x (0) or y (1)."""
    rows, shape = grid.rows, grid.shapes[:, axis].to(boxes.dtype)
    low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
    centre, side, stride = (low + high) / 2, high - low, rows.step[:, axis]
    cell = (centre / stride - rows.offset).round().clamp(min=0)
    cell = torch.minimum(cell, (rows.cells[:, axis] - 1).to(cell.dtype))
    away = ((cell + rows.offset) * stride - centre).abs()
    return side_overlap(side, shape, away)


def _placed(grid: Layout, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The largest IoU (g, S), and the overlaps along x and y (g, S) by which it is reached."""
    along_x, along_y = (_placed_on_axis(grid, boxes, axis) for axis in (0, 1))
    shared = along_x * along_y
    area = product(boxes[:, 2:] - boxes[:, :2])[:, None] + product(grid.shapes.to(boxes.dtype))
    return shared / (area - shared), along_x, along_y


@detached
def best(grid: Layout, targets: Targets) -> Pairs:
    """For every object the anchors of largest IoU, with all ties, and that IoU; none where it is 0.

    The closed form names the shapes and the cells that can reach the maximum; the last bit is
    decided by the arithmetic of the dense form.
    """
    found = []
    for block in blocks(grid, targets, targets.real, grid.num_shapes):
        value, along_x, along_y = _placed(grid, block.boxes)
        side = block.boxes[:, 2:] - block.boxes[:, :2]
        shape = grid.shapes.to(side.dtype)
        smallest = torch.minimum(side.amin(1)[:, None], shape.amin(1))
        slack = SLACK + 4 * block.hair[:, None] / smallest.clamp(min=1e-6)
        highest = (value * (1 - slack)).amax(1, keepdim=True)
        g, row = ((value * (1 + slack) >= highest) & (value > 0)).nonzero(as_tuple=True)
        overlap = torch.stack([along_x[g, row], along_y[g, row]], dim=1)
        slack, hair, box = slack[g, row, None], block.hair[g, None], block.boxes[g]
        reach = (side[g] + shape[row]) / 2 - overlap * (1 - 2 * slack) + hair
        centre = (box[:, :2] + box[:, 2:]) / 2
        runs = rectangles(grid, block.target[g], row, centre - reach, centre + reach)
        cells = fill(runs)
        exact = measure(grid, targets, cells, iou)
        top = exact.new_zeros(len(targets)).scatter_reduce(0, cells.target, exact, "amax")
        cells, rows = kept(cells, (exact == pick(top, cells.target)) & (exact > 0))
        found.append(Found(cells.target, flat(grid, targets, cells), pick(exact, rows)))
    return join_found(grid, targets, found)
