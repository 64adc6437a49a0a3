"""Queries about centres: which anchors stand inside an object, or nearest to it, in closed form."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.layout import Layout
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.cells import (
    BLOCK,
    Cells,
    Found,
    all_shapes,
    blocks,
    flat,
    join_found,
    measure,
    wide_dtype,
)
from kedge.anchors.queries.join import spread
from kedge.anchors.segments import pick, where
from kedge.boxes import centres
from kedge.types import Targets

BEYOND = 1 << 31  # cells; farther than any map reaches, and still a whole number


def region_of(anchors: Any, targets: Targets, region: Tensor | None) -> Tensor:
    """The region that is asked about, (G, 4) or (G, L, 4), or the targets' boxes; ``ValueError``
    for other shapes."""
    area = targets.boxes if region is None else region
    whole, layered = (len(targets), 4), (len(targets), anchors.num_levels, 4)
    if area.shape not in (whole, layered):
        raise ValueError(f"region must be {whole} or {layered}, got {tuple(area.shape)}")
    return area.detach()


@detached
def inside(grid: Layout, targets: Targets, area: Tensor, margin: float) -> Pairs:
    """Pairs whose anchor centre is more than ``margin`` inside ``area`` (G, 4) or (G, L, 4).

    On every level those are the cells of some columns and some rows, and the anchors of one row
    follow one another: no anchor is looked at.
    """
    area = (area[:, None] if area.ndim == 2 else area).expand(len(targets), grid.num_levels, 4)
    maps, found = grid.maps, []
    for target in targets.real.split(max(1, BLOCK // grid.num_levels)):
        region, image = pick(area, target), pick(targets.image, target)
        cell, count = _within(grid, region[..., :2], region[..., 2:], margin)
        first = grid.first_of(image)[:, None] + maps.start + (cell * maps.pitch).sum(-1)
        wide, tall = count.unbind(-1)
        window, down = spread((tall * (wide > 0)).flatten())
        row, right = spread(pick((wide * maps.pitch[:, 0]).flatten(), window))
        start = pick(first.flatten(), window)
        start = start + down * pick(maps.pitch[:, 1].repeat(len(target)), window)
        target = pick(target.repeat_interleave(grid.num_levels), window)
        found.append(Found(pick(target, row), pick(start, row) + right))
    return join_found(grid, targets, found)


def _within(grid: Layout, low: Tensor, high: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """First column and row of every level whose centre is more than ``margin`` inside ``low`` to
    ``high`` (g, L, 2), and how many there are: (g, L, 2) int64 each.

    A division finds both ends but for a hair; the few cells there are asked as all would be.
    """
    maps, wide = grid.maps, wide_dtype(grid.device)
    hair = 1e-3 + 1e-6 * (maps.extent + abs(margin))
    few = torch.arange(2 * math.ceil(hair / maps.finest) + 2, device=grid.device)[:, None, None]

    def centre(cell: Tensor) -> Tensor:
        return (cell.to(grid.shapes.dtype) + maps.offset) * maps.step

    begin = ((low.to(wide) + (margin - hair)) / maps.step - maps.offset).ceil().clamp(min=0)
    begin = torch.minimum(begin, maps.cells).long()
    end = ((high.to(wide) - (margin - hair)) / maps.step - maps.offset).floor().clamp(min=-1)
    end = torch.minimum(end, maps.cells - 1).long()
    begin = begin + (centre(begin[:, None] + few) - low[:, None] <= margin).sum(1)
    end = end - (high[:, None] - centre(end[:, None] - few) <= margin).sum(1)
    return begin, (end - begin + 1).clamp(min=0)


def _nearest_on_axis(grid: Layout, centre: Tensor, axis: int, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest columns (axis 0) or rows (1) of every level, and their distance: (g, L, k).

    Equal distances: the lower one first. Beyond the map's edge the distance is infinite.
    """
    first_row = grid.rows.start_row
    stride, offset = grid.rows.step[first_row, axis], grid.rows.offset[first_row]
    cells = grid.rows.cells[first_row, axis]
    start = (centre[:, None] / stride - offset).floor() - (k + 1) // 2
    start = torch.minimum(start, (cells - k - 2).to(start.dtype)).clamp(min=0).long()
    index = start[..., None] + torch.arange(k + 2, device=grid.device)
    place = (index.to(stride.dtype) + offset[:, None]) * stride[:, None]
    away = (place.to(centre.dtype) - centre[:, None, None]).abs()
    away = torch.where(index < cells[:, None], away, torch.inf)
    away, order = away.sort(dim=-1, stable=True)
    return index.gather(-1, order)[..., :k], away[..., :k]


def _around(grid: Layout, targets: Targets, k: int) -> Iterator[tuple[Tensor, ...]]:
    """Block by block the rows of targets (g,), and y, x and distances along both axes (g, L, M).

    The cell at the i-th nearest column and j-th nearest row has i * j cells at least as near, so
    only the M with i * j <= k can be among the k nearest, by any measure of distance that grows
    along both axes. Beyond the map's edge the distance is infinite.

    In double precision two rows at both sides of a centre can be apart by less than their squared
    distances tell, and the farther one may be the lower: there one rank more is looked at.
    """
    twin = int(grid.shapes.dtype == torch.float64)
    before = [max(i + 1 - twin, 1) for i in range(k + twin)]
    rank = [(i, j) for j, b in enumerate(before) for i, a in enumerate(before) if a * b <= k]
    at_x, at_y = torch.tensor(rank, device=grid.device).unbind(1)
    for block in blocks(grid, targets, targets.real, len(rank) * grid.num_shapes):
        centre = (block.boxes[:, :2] + block.boxes[:, 2:]) / 2
        xs, away_x = _nearest_on_axis(grid, centre[:, 0], 0, k + twin)
        ys, away_y = _nearest_on_axis(grid, centre[:, 1], 1, k + twin)
        ys, away_y = (of_row.index_select(-1, at_y) for of_row in (ys, away_y))
        xs, away_x = (of_column.index_select(-1, at_x) for of_column in (xs, away_x))
        yield block.target, ys, xs, away_y, away_x


def at_least_one(k: int) -> None:
    """``ValueError`` for a ``k`` below 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def _k_largest(values: Tensor, ids: Tensor, k: int) -> Tensor:
    """(R, K) mask of the ``k`` largest ``values`` (R, K) of every row; equal values: the lowest of
    ``ids`` (R, K)."""
    if k >= values.shape[1]:
        return torch.ones_like(values, dtype=torch.bool)
    keep = values >= values.topk(k, dim=1).values[:, -1:]
    tied = where(keep.sum(1) > k)  # more than k reach the k-th value
    if len(tied):
        by_id = pick(ids, tied).argsort(dim=1)
        order = pick(values, tied).gather(1, by_id).argsort(dim=1, descending=True, stable=True)
        first = torch.zeros_like(by_id, dtype=torch.bool)
        keep[tied] = first.scatter_(1, by_id.gather(1, order[:, :k]), True)
    return keep


@detached
def nearest(grid: Layout, targets: Targets, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the object's centre, with their IoU.

    Fewer on a small map. Equal distances: the lower anchor first.
    """
    first_row = grid.rows.start_row
    columns = pick(grid.rows.columns, first_row)[:, None]
    found = []
    for target, ys, xs, away_y, away_x in _around(grid, targets, k):
        away, cell = (v.flatten(0, 1) for v in (away_x**2 + away_y**2, ys * columns + xs))
        at = where((_k_largest(-away, cell, k) & torch.isfinite(away)).flatten())
        pair = at.div(away.shape[1], rounding_mode="floor")
        g = pair.div(grid.num_levels, rounding_mode="floor")
        row = pick(first_row, pair - g * grid.num_levels)
        cells = Cells(pick(target, g), row, pick(ys.flatten(), at), pick(xs.flatten(), at))
        cells = all_shapes(grid, cells)
        value = measure(grid, targets, cells, grid.measure)
        found.append(Found(cells.target, flat(grid, targets, cells), value))
    return join_found(grid, targets, found)


@detached
def closest(grid: Layout, targets: Targets, k: int, by: Callable) -> Pairs:
    """For every object the ``k`` anchors of all levels with the largest ``by(anchors, boxes)``.

    ``by`` takes boxes (P, 4) twice and falls, for anchors of one shape, as their centre moves away
    from the object's along either axis. Equal values: the lower anchor first.
    """
    level, row = grid.rows.level, torch.arange(grid.num_shapes, device=grid.device)[:, None]
    found = []
    for target, ys, xs, away_y, away_x in _around(grid, targets, k):
        y, x, real = (c.index_select(1, level) for c in (ys, xs, torch.isfinite(away_x + away_y)))
        own = row.expand_as(y)  # (g, S, M), as all of these
        box = pick(targets.boxes, target).repeat_interleave(own[0].numel(), 0)
        value = by(grid.boxes_at(own.flatten(), y.flatten(), x.flatten()), box).view_as(y)
        value = torch.where(real, value, -torch.inf).flatten(1)
        ids = grid.index(own.flatten(), y.flatten(), x.flatten()).view_as(value)
        keep = _k_largest(value, ids, k) & real.flatten(1)
        at = where(keep.flatten())
        target = pick(target, at.div(value.shape[1], rounding_mode="floor"))
        first = grid.first_of(pick(targets.image, target))
        found.append(Found(target, first + pick(ids.flatten(), at)))
    return join_found(grid, targets, found)


@detached
def in_cell(grid: Layout, targets: Targets) -> Pairs:
    """All anchors of the cell that holds the object's centre, on every level.

    A centre outside the map belongs to the nearest cell.
    """
    rows, target = grid.rows, targets.real
    centre = centres(pick(targets.boxes, target)).detach()[:, None]
    cell = (centre / rows.step).clamp(min=0, max=BEYOND).long()
    cell = torch.minimum(cell, rows.cells - 1)
    local = rows.first + (cell[..., 1] * rows.columns + cell[..., 0]) * rows.per  # (g, S)
    first = grid.first_of(pick(targets.image, target))[:, None]
    target = target[:, None].expand_as(local).flatten()
    return join_found(grid, targets, [Found(target, (first + local).flatten())])
