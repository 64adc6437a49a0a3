"""The pair queries on a grid, exact and in closed form.

The intersection of an object with an anchor is ``ox * oy``: one overlap depends on the column only,
the other on the row only. So an object meets an anchor shape in one interval of rows and, within
each row, in one interval of columns (a *run* of cells), from one division each. Runs are rounded
outward by a hair, filled, and the exact quantity is computed with the arithmetic of the dense form.
Work and memory grow with the pairs that are returned, never with anchors x objects.

Objects are taken in blocks of a fixed number of (object, shape) windows, so that an image with a
million objects needs no more working memory than one with a thousand."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from kedge.anchors.join import spread
from kedge.anchors.pairs import Pairs
from kedge.boxes import iof, iou
from kedge.types import Targets

if TYPE_CHECKING:
    from kedge.anchors.grid import Grid

BLOCK = 1 << 18  # (object, shape) windows that are held at once
SLACK = 1e-5  # relative; float32 rounds an IoU by less


class Block(NamedTuple):
    """Some objects, in double precision where the device has it."""

    target: Tensor  # (g,) rows of targets.boxes
    boxes: Tensor  # (g, 4)
    hair: Tensor  # (g, 1, 1) pixels by which float32 coordinates of this size may be off


class Runs(NamedTuple):
    """Contiguous cells of one row of a feature map: (R,) each."""

    target: Tensor
    row: Tensor  # row of grid.rows, a (level, shape)
    y: Tensor
    x: Tensor
    count: Tensor


class Cells(NamedTuple):
    """Candidate pairs: (P,) each."""

    target: Tensor
    row: Tensor
    y: Tensor
    x: Tensor


# -- blocks and expansion


def _wide(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _blocks(grid: "Grid", targets: Targets, chosen: Tensor, width: int) -> Iterator[Block]:
    """Blocks of the ``chosen`` (G,) objects, each with at most BLOCK windows of ``width`` per
    object."""
    ids = chosen.nonzero()[:, 0]
    wide = _wide(grid.device)
    for target in ids.split(max(1, BLOCK // width)):
        boxes = targets.boxes[target].detach().to(wide)
        reach = boxes.abs().amax(1).clamp(min=max(grid.image_size))
        yield Block(target, boxes, (1e-3 + 1e-6 * reach)[:, None, None])


def _fill(runs: Runs) -> Cells:
    source, step = spread(runs.count)
    return Cells(runs.target[source], runs.row[source], runs.y[source], runs.x[source] + step)


def _interval(low: Tensor, high: Tensor, stride: Tensor, offset: Tensor, cells: Tensor):
    """First cell and number of cells whose centres lie in [low, high]; broadcast."""
    last = cells - 1
    first = (low / stride - offset).ceil().clamp(min=0)
    end = torch.minimum((high / stride - offset).floor(), last)
    return first.long(), (end - first + 1).clamp(min=0).long()


def _axis_runs(block: Block, low: Tensor, high: Tensor, grid: "Grid") -> Runs:
    """Runs of the cells whose centres lie in the rectangles low, high (g, S, 2), as x, y."""
    rows = grid.rows
    first, count = _interval(low, high, rows.stride, rows.offset[:, None], rows.cells)
    g, row = count.amin(-1).nonzero(as_tuple=True)
    source, step = spread(count[g, row, 1])
    g, row = g[source], row[source]
    y = first[g, row, 1] + step
    return Runs(block.target[g], row, y, first[g, row, 0], count[g, row, 0])


def _pairs(grid: "Grid", targets: Targets, found: list[tuple[Cells, Tensor | None]]) -> Pairs:
    """Joins the blocks' results into one set of pairs."""
    empty = torch.zeros(0, dtype=torch.int64, device=grid.device)
    parts = [cells for cells, _ in found] or [Cells(empty, empty, empty, empty)]
    target, row, y, x = (torch.cat(column) for column in zip(*parts))
    known = [value for _, value in found if value is not None]
    return Pairs(
        anchors=grid,
        targets=targets,
        anchor=targets.image[target] * len(grid) + grid.index(row, y, x),
        target=target,
        _iou=torch.cat(known) if known else None,
    )


# -- overlap


def _overlap_runs(grid: "Grid", block: Block, need: Tensor) -> Runs:
    """Runs that hold every cell whose anchor shares at least ``need`` (g, S) pixels with the
    object."""
    rows, hair = grid.rows, block.hair
    shape = grid.shapes.to(block.boxes.dtype)
    side = (block.boxes[:, 2:] - block.boxes[:, :2])[:, None]
    limit = torch.minimum(side, shape) + hair  # (g, S, 2): what each axis can overlap at most
    least = need[..., None] / limit.flip(-1)  # so the other axis must overlap at least this
    possible = ((least <= limit) & (side > 0)).all(-1)
    low = block.boxes[:, None, :2] + least - shape / 2 - hair
    high = block.boxes[:, None, 2:] - least + shape / 2 + hair
    first, count = _interval(low, high, rows.stride, rows.offset[:, None], rows.cells)
    g, row = ((count.amin(-1) > 0) & possible).nonzero(as_tuple=True)
    source, step = spread(count[g, row, 1])
    g, row = g[source], row[source]
    y = first[g, row, 1] + step
    # with the row known, its overlap is known, and the columns follow exactly
    stride, offset, half = rows.stride[row], rows.offset[row], shape[row] / 2
    centre = (y + offset) * stride[:, 1]
    box, hair = block.boxes[g], hair[g, 0, 0]
    overlap = torch.minimum(box[:, 3], centre + half[:, 1]) - torch.maximum(
        box[:, 1], centre - half[:, 1]
    )
    least = need[g, row] / (overlap + hair).clamp(min=1e-12)
    x, count = _interval(
        box[:, 0] + least - half[:, 0] - hair,
        box[:, 2] - least + half[:, 0] + hair,
        stride[:, 0],
        offset,
        rows.cells[row, 0],
    )
    return Runs(block.target[g], row, y, x, count)


def _only_among(grid: "Grid", targets: Targets, runs: Runs, keys: Tensor) -> Cells:
    """The cells of ``runs`` that are in ``keys``: sorted ids in (image, level, shape, y, x)
    order."""
    base = targets.image[runs.target] * len(grid) + grid.rows.major[runs.row]
    base = base + runs.y * grid.rows.cells[runs.row, 0]
    start = torch.searchsorted(keys, base + runs.x)
    stop = torch.searchsorted(keys, base + runs.x + runs.count)
    source, step = spread((stop - start).clamp(min=0))
    x = keys[start[source] + step] - base[source]
    return Cells(runs.target[source], runs.row[source], runs.y[source], x)


def _shape_major(grid: "Grid", flat: Tensor) -> Tensor:
    """Sorted keys of flat ids in (image, level, shape, y, x) order, in which a run is
    contiguous."""
    row, y, x = grid.row_and_cell(grid.local(flat))
    key = flat - grid.local(flat) + grid.rows.major[row] + y * grid.rows.cells[row, 0] + x
    return key.sort().values


def _measure(grid: "Grid", targets: Targets, cells: Cells, of: Callable) -> Tensor:
    """``of(anchor boxes, target boxes)`` of every cell, in the arithmetic of the dense form."""
    return of(grid.boxes_at(cells.row, cells.y, cells.x), targets.boxes[cells.target])


@torch.no_grad()
def overlapping(
    grid: "Grid", targets: Targets, min_iou: float, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou`` and IoU > 0, with its IoU.

    ``among``: flat ids to which the anchors are restricted.
    """
    keys = None if among is None else _shape_major(grid, among)
    share = max(min_iou, 0.0) * (1 - SLACK)
    share = share / (1 + share)
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_shapes):
        side = block.boxes[:, 2:] - block.boxes[:, :2]
        shape = (grid.shapes.to(side.dtype) - block.hair).clamp(min=0)
        runs = _overlap_runs(grid, block, share * (side.prod(-1)[:, None] + shape.prod(-1)))
        cells = _fill(runs) if keys is None else _only_among(grid, targets, runs, keys)
        value = _measure(grid, targets, cells, iou)
        keep = (value >= min_iou) & (value > 0)
        found.append((Cells(*(c[keep] for c in cells)), value[keep]))
    return _pairs(grid, targets, found)


@torch.no_grad()
def covered(grid: "Grid", targets: Targets, min_iof: float) -> Tensor:
    """Flat ids, unique, of anchors of which one ``ignore`` object covers the share ``min_iof``."""
    if min_iof <= 0:
        raise ValueError(f"min_iof must be positive, got {min_iof}")
    found = []
    for block in _blocks(grid, targets, targets.ignore, grid.num_shapes):
        shape = (grid.shapes.to(block.boxes.dtype) - block.hair).clamp(min=0)
        cells = _fill(_overlap_runs(grid, block, min_iof * (1 - SLACK) * shape.prod(-1)))
        keep = _measure(grid, targets, cells, iof) >= min_iof
        found.append((Cells(*(c[keep] for c in cells)), None))
    return _pairs(grid, targets, found).anchor.unique()


def placed_iou(grid: "Grid", boxes: Tensor) -> Tensor:
    """(g, S): the largest IoU of every box (g, 4) with every shape, over all cells, without a list
    of cells.

    Columns and rows separate: it is reached where both centres are nearest.
    """
    return _placed(grid, boxes.to(_wide(grid.device)))[0]


def _placed(grid: "Grid", boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The largest IoU (g, S) and the overlap along x and y (g, S, 2) by which it is reached."""
    rows, shape = grid.rows, grid.shapes.to(boxes.dtype)
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
    side = (boxes[:, 2:] - boxes[:, :2])[:, None]
    cell = (centre / rows.stride - rows.offset[:, None]).round().clamp(min=0)
    cell = torch.minimum(cell, (rows.cells - 1).to(cell.dtype))
    away = ((cell + rows.offset[:, None]) * rows.stride - centre).abs()
    overlap = torch.minimum(torch.minimum(side, shape), (side + shape) / 2 - away).clamp(min=0)
    shared = overlap.prod(-1)
    union = side.prod(-1) + shape.prod(-1) - shared
    return shared / union, overlap


@torch.no_grad()
def best(grid: "Grid", targets: Targets) -> Pairs:
    """For every object the anchors of largest IoU, with all ties, and that IoU; none where it is 0.

    The closed form names the shapes and the cells that can reach the maximum; the last bit is
    decided by the arithmetic of the dense form."""
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_shapes):
        value, overlap = _placed(grid, block.boxes)
        side = (block.boxes[:, 2:] - block.boxes[:, :2])[:, None]
        shape = grid.shapes.to(side.dtype)
        smallest = torch.minimum(side, shape).amin(-1)
        slack = SLACK + 4 * block.hair[..., 0] / smallest.clamp(min=1e-6)
        lower, upper = value * (1 - slack), value * (1 + slack)
        tied = (upper >= lower.amax(1, keepdim=True)) & (value > 0)
        reach = (side + shape) / 2 - overlap * (1 - 2 * slack[..., None]) + block.hair
        reach = torch.where(tied[..., None], reach, -torch.inf)  # an empty interval
        centre = ((block.boxes[:, :2] + block.boxes[:, 2:]) / 2)[:, None]
        cells = _fill(_axis_runs(block, centre - reach, centre + reach, grid))
        exact = _measure(grid, targets, cells, iou)
        top = exact.new_zeros(len(targets)).scatter_reduce(0, cells.target, exact, "amax")
        keep = (exact == top[cells.target]) & (exact > 0)
        found.append((Cells(*(c[keep] for c in cells)), exact[keep]))
    return _pairs(grid, targets, found)


# -- centres


@torch.no_grad()
def inside(grid: "Grid", targets: Targets, region: Tensor | None, margin: float) -> Pairs:
    """Pairs whose anchor centre is inside the object, or its ``region``, by more than
    ``margin``."""
    rows = grid.rows
    area = targets.boxes if region is None else region
    if area.shape[0] != len(targets) or area.shape[-1] != 4 or area.ndim not in (2, 3):
        raise ValueError(
            f"region must be ({len(targets)}, 4) or ({len(targets)}, {grid.num_levels}, 4), "
            f"got {tuple(area.shape)}"
        )
    area = area.detach()
    area = area[:, None] if area.ndim == 2 else area  # (G, 1 or L, 4)
    level = rows.level if area.shape[1] > 1 else torch.zeros_like(rows.level)
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_shapes):
        wide = area[block.target].to(block.boxes.dtype)[:, level]
        low, high = wide[..., :2] + margin - block.hair, wide[..., 2:] - margin + block.hair
        cells = _fill(_axis_runs(block, low, high, grid))
        exact = area[cells.target, level[cells.row]]
        point = grid.centres(cells.row, cells.y, cells.x)
        keep = ((point - exact[:, :2] > margin) & (exact[:, 2:] - point > margin)).all(1)
        found.append((Cells(*(c[keep] for c in cells)), None))
    return _pairs(grid, targets, found)


def _nearest_on_axis(grid: "Grid", centre: Tensor, axis: int, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest columns (axis 0) or rows (1) of every level, and their distance: (g, L, k).

    Equal distances: the lower one first. Beyond the map's edge the distance is infinite.
    """
    first_row = (grid.rows.sub == 0).nonzero()[:, 0]
    stride, offset = grid.rows.stride[first_row, axis], grid.rows.offset[first_row]
    cells = grid.rows.cells[first_row, axis]
    start = (centre[:, None] / stride - offset).floor() - (k + 1) // 2
    start = torch.minimum(start, (cells - k - 2).to(start.dtype)).clamp(min=0).long()
    index = start[..., None] + torch.arange(k + 2, device=grid.device)
    place = (index.to(stride.dtype) + offset[:, None]) * stride[:, None]
    away = (place.to(centre.dtype) - centre[:, None, None]).abs()
    away = torch.where(index < cells[:, None], away, torch.inf)
    away, order = away.sort(dim=-1, stable=True)
    return index.gather(-1, order)[..., :k], away[..., :k]


@torch.no_grad()
def nearest(grid: "Grid", targets: Targets, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the object's centre; fewer on a
    small map.

    The cell at the i-th nearest column and j-th nearest row has i * j cells at least as near, so
    only those with i * j <= k can be among the k nearest. Equal distances: the lower anchor first.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    rank = [(i, j) for j in range(k) for i in range(k) if (i + 1) * (j + 1) <= k]
    at_x, at_y = torch.tensor(rank, device=grid.device).unbind(1)
    first_row = (grid.rows.sub == 0).nonzero()[:, 0]
    width = len(rank) * max(grid.num_levels, grid.num_shapes)
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, width):
        centre = (block.boxes[:, :2] + block.boxes[:, 2:]) / 2
        xs, away_x = _nearest_on_axis(grid, centre[:, 0], 0, k)
        ys, away_y = _nearest_on_axis(grid, centre[:, 1], 1, k)
        away = away_x[..., at_x] ** 2 + away_y[..., at_y] ** 2  # (g, L, M)
        cell = ys[..., at_y] * grid.rows.cells[first_row, 0][:, None] + xs[..., at_x]
        by_cell = cell.argsort(dim=-1)
        chosen = by_cell.gather(-1, away.gather(-1, by_cell).argsort(dim=-1, stable=True)[..., :k])
        real = torch.isfinite(away.gather(-1, chosen))[:, grid.rows.level]
        y, x = ys[..., at_y].gather(-1, chosen), xs[..., at_x].gather(-1, chosen)
        g, row, _ = real.nonzero(as_tuple=True)
        y, x = y[:, grid.rows.level][real], x[:, grid.rows.level][real]
        found.append((Cells(block.target[g], row, y, x), None))
    return _pairs(grid, targets, found)


@torch.no_grad()
def in_cell(grid: "Grid", targets: Targets) -> Pairs:
    """All anchors of the cell that holds the object's centre, on every level.

    A centre outside the map belongs to the nearest cell.
    """
    rows = grid.rows
    target = (~targets.ignore).nonzero()[:, 0]
    centre = (targets.boxes[target, :2] + targets.boxes[target, 2:]) / 2
    cell = (centre[:, None] / rows.stride).floor().long().clamp(min=0)
    cell = torch.minimum(cell, rows.cells - 1)
    row = torch.arange(grid.num_shapes, device=grid.device).repeat(len(target))
    cells = Cells(
        target.repeat_interleave(grid.num_shapes),
        row,
        cell[..., 1].flatten(),
        cell[..., 0].flatten(),
    )
    return _pairs(grid, targets, [(cells, None)])
