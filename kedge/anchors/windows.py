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
from kedge.anchors.segments import pick, where
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
    hair: Tensor  # (g,) pixels by which float32 coordinates of this size may be off


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


class Found(NamedTuple):
    """Pairs of one block of objects: (P,) each."""

    target: Tensor
    anchor: Tensor  # flat ids
    iou: Tensor | None = None


# -- blocks and expansion --------------------------------------------------------------------------


def _wide(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _blocks(grid: "Grid", targets: Targets, chosen: Tensor, width: int) -> Iterator[Block]:
    """Blocks of the ``chosen`` (G,) objects, each of at most BLOCK windows, ``width`` an object."""
    ids = chosen.nonzero()[:, 0]
    if len(ids) == 0:
        return
    wide = _wide(grid.device)
    for target in ids.split(max(1, BLOCK // width)):
        boxes = targets.boxes[target].detach().to(wide)
        reach = torch.maximum(boxes.abs().amax(1), grid.rows.extent)
        yield Block(target, boxes, 1e-3 + 1e-6 * reach)


def _fill(runs: Runs) -> Cells:
    source, step = spread(runs.count)
    target, row, y, x = (pick(column, source) for column in runs[:4])
    return Cells(target, row, y, x + step)


def _interval(low: Tensor, high: Tensor, stride: Tensor, offset: Tensor, cells: Tensor):
    """First cell and number of cells whose centres lie in [low, high]; broadcast."""
    first = (low / stride - offset).ceil().clamp(min=0)
    end = torch.minimum((high / stride - offset).floor(), cells - 1)
    return first.long(), (end - first + 1).clamp(min=0).long()


def _rectangles(grid: "Grid", target: Tensor, row: Tensor, low: Tensor, high: Tensor) -> Runs:
    """Runs of the cells of ``row`` whose centres lie in the rectangles low, high: (K,), (K, 2)."""
    rows = grid.rows
    stride, cells, offset = (pick(c, row) for c in (rows.stride, rows.cells, rows.offset))
    x, wide = _interval(low[:, 0], high[:, 0], stride[:, 0], offset, cells[:, 0])
    y, tall = _interval(low[:, 1], high[:, 1], stride[:, 1], offset, cells[:, 1])
    source, step = spread(tall * (wide > 0))
    target, row, y, x, wide = (pick(column, source) for column in (target, row, y, x, wide))
    return Runs(target, row, y + step, x, wide)


def _kept(cells: Cells, keep: Tensor) -> tuple[Cells, Tensor]:
    """The cells where ``keep`` is true, and their rows."""
    rows = where(keep)
    return Cells(*(pick(column, rows) for column in cells)), rows


def _flat(grid: "Grid", targets: Targets, cells: Cells) -> Tensor:
    """Flat anchor ids (P,)."""
    image = pick(targets.image, cells.target)
    return image * len(grid) + grid.index(cells.row, cells.y, cells.x)


def _pairs(grid: "Grid", targets: Targets, found: list[Found]) -> Pairs:
    """Joins the blocks' results into one set of pairs."""
    empty = torch.zeros(0, dtype=torch.int64, device=grid.device)
    known = [part.iou for part in found if part.iou is not None]
    if not found:
        known = [torch.zeros(0, dtype=grid.shapes.dtype, device=grid.device)]
    return Pairs(
        anchors=grid,
        targets=targets,
        anchor=torch.cat([part.anchor for part in found] or [empty]),
        target=torch.cat([part.target for part in found] or [empty]),
        _iou=torch.cat(known) if known else None,
    )


# -- overlap ---------------------------------------------------------------------------------------


def _overlap_runs(grid: "Grid", block: Block, need: Tensor) -> Runs:
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
    stride, offset, cells = (pick(c, row) for c in (rows.stride, rows.offset, rows.cells))
    reach = half[:, 1] - need / most_x + hair
    y, count = _interval(box[:, 1] - reach, box[:, 3] + reach, stride[:, 1], offset, cells[:, 1])
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
    x, count = _interval(x1 - reach, x2 + reach, stride_x, offset, pick(rows.columns, row))
    return Runs(pick(pick(block.target, g), source), row, y, x, count)


class Among(NamedTuple):
    """The anchors to which a query is restricted, in (image, level, shape, y, x) order.

    A run of cells is contiguous in this order.
    """

    key: Tensor  # (Q,) ascending
    floor: Tensor  # (Q,) least IoU of each
    least: Tensor  # (B, S) the smallest floor on a shape of an image; 2 where there is none


def _among(grid: "Grid", targets: Targets, flat: Tensor, floor: Tensor) -> Among:
    row, y, x = grid.row_and_cell(grid.local(flat))
    first = flat - grid.local(flat)
    key = first + grid.rows.major[row] + y * grid.rows.cells[row, 0] + x
    least = floor.new_full((targets.batch_size * grid.num_shapes,), 2.0)
    slot = first.div(len(grid), rounding_mode="floor") * grid.num_shapes + row
    least = least.scatter_reduce(0, slot, floor, "amin").view(-1, grid.num_shapes)
    key, order = key.sort()
    return Among(key, floor[order], least)


def _only_among(grid: "Grid", targets: Targets, runs: Runs, among: Among) -> tuple[Cells, Tensor]:
    """The cells of ``runs`` that are in ``among``, and the least IoU that is asked of each."""
    rows = grid.rows
    base = pick(targets.image, runs.target) * len(grid) + pick(rows.major, runs.row)
    base = base + runs.y * pick(rows.columns, runs.row)
    start = torch.searchsorted(among.key, base + runs.x)
    stop = torch.searchsorted(among.key, base + runs.x + runs.count)
    source, step = spread((stop - start).clamp(min=0))
    at = pick(start, source) + step
    target, row, y = (pick(column, source) for column in runs[:3])
    cells = Cells(target, row, y, pick(among.key, at) - pick(base, source))
    return cells, pick(among.floor, at)


def _measure(grid: "Grid", targets: Targets, cells: Cells, of: Callable) -> Tensor:
    """``of(anchor boxes, target boxes)`` of every cell, in the arithmetic of the dense form."""
    return of(grid.boxes_at(cells.row, cells.y, cells.x), pick(targets.boxes, cells.target))


@torch.no_grad()
def overlapping(
    grid: "Grid", targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou`` and IoU > 0, with its IoU.

    ``among``: unique flat ids (Q,) to which the anchors are restricted; ``min_iou`` may then be a
    tensor (Q,), one for each.
    """
    some = least = None
    if among is not None:
        floor = torch.as_tensor(min_iou, dtype=grid.shapes.dtype, device=grid.device)
        some = _among(grid, targets, among, floor.expand(len(among)))
    elif isinstance(min_iou, Tensor):
        raise ValueError("min_iou may be a tensor only with `among`: one for each of its anchors")
    else:
        least = torch.tensor(float(min_iou), device=grid.device)
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_shapes):
        side = block.boxes[:, 2:] - block.boxes[:, :2]
        shape = grid.shapes.detach().to(side.dtype) - block.hair[:, None, None]
        area = (side[:, 0] * side[:, 1])[:, None] + _product(shape.clamp(min=0))
        share = least if some is None else some.least[targets.image[block.target]]
        share = share.to(area).clamp(min=0) * (1 - SLACK)
        runs = _overlap_runs(grid, block, share / (1 + share) * area)
        cells, floor = (
            (_fill(runs), min_iou) if some is None else _only_among(grid, targets, runs, some)
        )
        value = _measure(grid, targets, cells, iou)
        cells, rows = _kept(cells, (value >= floor) & (value > 0))
        found.append(Found(cells.target, _flat(grid, targets, cells), pick(value, rows)))
    return _pairs(grid, targets, found)


def _product(sides: Tensor) -> Tensor:
    """(...) product of the last dimension of two; ``prod`` is slow on so short a dimension."""
    return sides[..., 0] * sides[..., 1]


@torch.no_grad()
def covered(grid: "Grid", targets: Targets, min_iof: float) -> Tensor:
    """Flat ids, unique, of anchors of which one ``ignore`` object covers the share ``min_iof``."""
    if min_iof <= 0:
        raise ValueError(f"min_iof must be positive, got {min_iof}")
    found = []
    for block in _blocks(grid, targets, targets.ignore, grid.num_shapes):
        shape = grid.shapes.detach().to(block.boxes.dtype) - block.hair[:, None, None]
        need = min_iof * (1 - SLACK) * _product(shape.clamp(min=0))
        cells = _fill(_overlap_runs(grid, block, need))
        cells, _ = _kept(cells, _measure(grid, targets, cells, iof) >= min_iof)
        found.append(_flat(grid, targets, cells))
    empty = torch.zeros(0, dtype=torch.int64, device=grid.device)
    return torch.cat(found).unique() if found else empty


def placed_iou(grid: "Grid", boxes: Tensor) -> Tensor:
    """(g, S): the largest IoU of every box (g, 4) with every shape over all cells, in closed form.

    Columns and rows separate: it is reached where both centres are nearest.
    """
    return _placed(grid, boxes.to(_wide(grid.device)))[0]


def _placed_on_axis(grid: "Grid", boxes: Tensor, axis: int) -> Tensor:
    """(g, S): the largest overlap of every box with every shape along x (0) or y (1)."""
    rows, shape = grid.rows, grid.shapes[:, axis].to(boxes.dtype)
    low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
    centre, side, stride = (low + high) / 2, high - low, rows.stride[:, axis]
    cell = (centre / stride - rows.offset).round().clamp(min=0)
    cell = torch.minimum(cell, (rows.cells[:, axis] - 1).to(cell.dtype))
    away = ((cell + rows.offset) * stride - centre).abs()
    return torch.minimum(torch.minimum(side, shape), (side + shape) / 2 - away).clamp(min=0)


def _placed(grid: "Grid", boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The largest IoU (g, S), and the overlaps along x and y (g, S) by which it is reached."""
    along_x, along_y = (_placed_on_axis(grid, boxes, axis) for axis in (0, 1))
    shared = along_x * along_y
    area = _product(boxes[:, 2:] - boxes[:, :2])[:, None] + _product(grid.shapes.to(boxes.dtype))
    return shared / (area - shared), along_x, along_y


@torch.no_grad()
def best(grid: "Grid", targets: Targets) -> Pairs:
    """For every object the anchors of largest IoU, with all ties, and that IoU; none where it is 0.

    The closed form names the shapes and the cells that can reach the maximum; the last bit is
    decided by the arithmetic of the dense form.
    """
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_shapes):
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
        runs = _rectangles(grid, block.target[g], row, centre - reach, centre + reach)
        cells = _fill(runs)
        exact = _measure(grid, targets, cells, iou)
        top = exact.new_zeros(len(targets)).scatter_reduce(0, cells.target, exact, "amax")
        cells, rows = _kept(cells, (exact == pick(top, cells.target)) & (exact > 0))
        found.append(Found(cells.target, _flat(grid, targets, cells), pick(exact, rows)))
    return _pairs(grid, targets, found)


# -- centres ---------------------------------------------------------------------------------------


def _all_shapes(grid: "Grid", targets: Targets, cells: Cells) -> Found:
    """The anchors of all shapes at ``cells``, which stand at their level's first shape."""
    source, step = spread(pick(grid.rows.per, cells.row))
    return Found(pick(cells.target, source), pick(_flat(grid, targets, cells), source) + step)


@torch.no_grad()
def inside(grid: "Grid", targets: Targets, region: Tensor | None, margin: float) -> Pairs:
    """Pairs whose anchor centre is more than ``margin`` inside the object, or its ``region``."""
    area = targets.boxes if region is None else region
    whole, layered = (len(targets), 4), (len(targets), grid.num_levels, 4)
    if area.shape not in (whole, layered):
        raise ValueError(f"region must be {whole} or {layered}, got {tuple(area.shape)}")
    area = area.detach()
    area = (area[:, None] if area.ndim == 2 else area).expand(layered)
    first, every = grid.rows.start_row, area.flatten(0, 1)
    found = []
    for block in _blocks(grid, targets, ~targets.ignore, grid.num_levels):
        wide = area[block.target].to(block.boxes.dtype).flatten(0, 1)
        slack = margin - block.hair.repeat_interleave(grid.num_levels)[:, None]
        target = block.target.repeat_interleave(grid.num_levels)
        row = first.repeat(len(block.target))
        runs = _rectangles(grid, target, row, wide[:, :2] + slack, wide[:, 2:] - slack)
        cells = _fill(runs)
        at = cells.target * grid.num_levels + pick(grid.rows.level, cells.row)
        exact = pick(every, at)
        point = grid.centres(cells.row, cells.y, cells.x)
        keep = ((point - exact[:, :2] > margin) & (exact[:, 2:] - point > margin)).all(1)
        found.append(_all_shapes(grid, targets, _kept(cells, keep)[0]))
    return _pairs(grid, targets, found)


def _nearest_on_axis(grid: "Grid", centre: Tensor, axis: int, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest columns (axis 0) or rows (1) of every level, and their distance: (g, L, k).

    Equal distances: the lower one first. Beyond the map's edge the distance is infinite.
    """
    first_row = grid.rows.start_row
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


def _around(grid: "Grid", targets: Targets, k: int) -> Iterator[tuple[Tensor, ...]]:
    """Block by block the rows of targets (g,), and y, x and distances along both axes (g, L, M).

    The cell at the i-th nearest column and j-th nearest row has i * j cells at least as near, so
    only the M with i * j <= k can be among the k nearest, by any measure of distance that grows
    along both axes. Beyond the map's edge the distance is infinite.
    """
    rank = [(i, j) for j in range(k) for i in range(k) if (i + 1) * (j + 1) <= k]
    at_x, at_y = torch.tensor(rank, device=grid.device).unbind(1)
    for block in _blocks(grid, targets, ~targets.ignore, len(rank) * grid.num_shapes):
        centre = (block.boxes[:, :2] + block.boxes[:, 2:]) / 2
        xs, away_x = _nearest_on_axis(grid, centre[:, 0], 0, k)
        ys, away_y = _nearest_on_axis(grid, centre[:, 1], 1, k)
        yield block.target, ys[..., at_y], xs[..., at_x], away_y[..., at_y], away_x[..., at_x]


def _at_least_one(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


@torch.no_grad()
def nearest(grid: "Grid", targets: Targets, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the object's centre.

    Fewer on a small map. Equal distances: the lower anchor first.
    """
    _at_least_one(k)
    first_row = grid.rows.start_row
    columns = grid.rows.cells[first_row, 0][:, None]
    found = []
    for target, ys, xs, away_y, away_x in _around(grid, targets, k):
        away = away_x**2 + away_y**2
        by_cell = (ys * columns + xs).argsort(dim=-1)
        near = by_cell.gather(-1, away.gather(-1, by_cell).argsort(dim=-1, stable=True)[..., :k])
        g, level, place = torch.isfinite(away.gather(-1, near)).nonzero(as_tuple=True)
        at = near[g, level, place]
        cells = Cells(target[g], first_row[level], ys[g, level, at], xs[g, level, at])
        found.append(_all_shapes(grid, targets, cells))
    return _pairs(grid, targets, found)


@torch.no_grad()
def closest(grid: "Grid", targets: Targets, k: int, by: Callable) -> Pairs:
    """For every object the ``k`` anchors of all levels with the largest ``by(anchors, boxes)``.

    ``by`` takes boxes (P, 4) twice and falls, for anchors of one shape, as their centre moves away
    from the object's along either axis. Equal values: the lower anchor first.
    """
    _at_least_one(k)
    found = []
    for target, ys, xs, away_y, away_x in _around(grid, targets, k):
        g, level, at = torch.isfinite(away_x + away_y).nonzero(as_tuple=True)
        row = grid.rows.start_row[level]
        cells = Cells(target[g], row, ys[g, level, at], xs[g, level, at])
        pairs = _pairs(grid, targets, [_all_shapes(grid, targets, cells)])
        keep = pairs.top_per_target(by(pairs.boxes(), pairs.target_boxes()), k)
        found.append(Found(pairs.target[keep], pairs.anchor[keep]))
    return _pairs(grid, targets, found)


@torch.no_grad()
def in_cell(grid: "Grid", targets: Targets) -> Pairs:
    """All anchors of the cell that holds the object's centre, on every level.

    A centre outside the map belongs to the nearest cell.
    """
    first_row = grid.rows.start_row
    target = (~targets.ignore).nonzero()[:, 0]
    centre = (targets.boxes[target, :2] + targets.boxes[target, 2:]) / 2
    cell = (centre[:, None] / grid.rows.stride[first_row]).floor().long().clamp(min=0)
    cell = torch.minimum(cell, grid.rows.cells[first_row] - 1)
    cells = Cells(
        target.repeat_interleave(grid.num_levels),
        first_row.repeat(len(target)),
        cell[..., 1].flatten(),
        cell[..., 0].flatten(),
    )
    return _pairs(grid, targets, [_all_shapes(grid, targets, cells)])
