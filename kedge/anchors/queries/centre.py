"""Queries about centres: which anchors stand inside an object, or nearest to it, in closed form."""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
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
    join_found,
    measure,
    wide_dtype,
)
from kedge.anchors.queries.join import spread
from kedge.boxes import centres
from kedge.rows import kth_largest, pick, where
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


def _nearest_on_axes(grid: Layout, centre: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest columns and rows of every level, and their distance: (g, L, 2, k) each.

    Equal distances: the lower one first. Beyond the map's edge the distance is infinite.
    """
    maps, centre = grid.maps, centre[:, None]
    cells, step, offset = maps.cells[..., None], maps.step[..., None], maps.offset[..., None]
    start = (centre / maps.step - maps.offset).floor() - (k + 1) // 2
    start = torch.minimum(start, maps.cells - (k + 2)).clamp(min=0).long()
    index = start[..., None] + torch.arange(k + 2, device=grid.device)
    away = ((index.to(step.dtype) + offset) * step - centre[..., None]).abs()
    away = away.masked_fill_(index >= cells, torch.inf)
    away, order = away.sort(dim=-1, stable=True)
    return index.gather(-1, order)[..., :k], away[..., :k]


@lru_cache
def _ranks(k: int, extra: int) -> list[int]:
    """The M ranks along x, then those along y, of the cells that can be among the ``k`` nearest:
    the i-th nearest column and j-th nearest row have i * j cells at least as near. Ranks along y
    are counted on from the last along x, the ``k + extra``-th."""
    before = [max(i + 1 - extra, 1) for i in range(k + extra)]
    rank = [(i, j) for j, b in enumerate(before) for i, a in enumerate(before) if a * b <= k]
    return [i for i, _ in rank] + [k + extra + j for _, j in rank]


def _around(grid: Layout, targets: Targets, k: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Block by block the rows of targets (g,), and column and row of cells, and how far they are
    along both axes: (g, L, 2, M) each.

    Only the M cells that can be among the ``k`` nearest, by any measure of distance that grows
    along both axes. Beyond the map's edge the distance is infinite.

    In double precision two rows at both sides of a centre can be apart by less than their squared
    distances tell, and the farther one may be the lower: there one rank more is looked at.
    """
    if len(targets.real) == 0:
        return
    twin = int(grid.shapes.dtype == torch.float64)
    ranks = torch.tensor(_ranks(k, twin), device=grid.device)
    for target in targets.real.split(max(1, BLOCK // (len(ranks) // 2 * grid.num_shapes))):
        box = pick(targets.boxes, target).detach().to(wide_dtype(grid.device))
        found = _nearest_on_axes(grid, centres(box), k + twin)
        every = ranks.expand(len(target), grid.num_levels, -1)  # gather: several times faster
        cell, away = (v.flatten(2).gather(2, every).unflatten(2, (2, -1)) for v in found)
        yield target, cell, away


def at_least_one(k: int) -> None:
    """``ValueError`` for a ``k`` below 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def _k_largest(values: Tensor, ids: Tensor, k: int, full: bool) -> Tensor:
    """Entries (K,) of the ``k`` largest ``values`` (R, K) of every row that are not -inf; equal
    values: the lowest of ``ids`` (R, K). ``full``: every row has as many, and seldom more."""
    keep = values >= kth_largest(values, min(k, values.shape[1]))
    some = values > -torch.inf
    if full:
        at = where((keep & some).flatten())
        if len(at) == k * len(values):
            return at
    tied = where(keep.sum(1) > k)  # more than k reach the k-th value
    if len(tied):
        by_id = pick(ids, tied).argsort(dim=1)
        order = pick(values, tied).gather(1, by_id).argsort(dim=1, descending=True, stable=True)
        first = torch.zeros_like(by_id, dtype=torch.bool)
        keep[tied] = first.scatter_(1, by_id.gather(1, order[:, :k]), True)
    return where((keep & some).flatten())


@detached
def nearest(grid: Layout, targets: Targets, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the object's centre, with their IoU.

    Fewer on a small map. Equal distances: the lower anchor first.
    """
    maps, smallest, found = grid.maps, min(h * w for h, w in grid.sizes), []
    for target, cell, away in _around(grid, targets, k):
        first = grid.first_of(pick(targets.image, target))[:, None] + maps.start
        anchor = (cell * maps.pitch[..., None]).sum(2).add_(first[..., None]).flatten(0, 1)
        across, down = away.square().unbind(2)
        near = (across + down).neg_().flatten(0, 1)  # (g * L, M)
        at = _k_largest(near, anchor, k, full=smallest >= k)
        window = at.div(anchor.shape[1], rounding_mode="floor")
        target = pick(target, window.div(grid.num_levels, rounding_mode="floor"))
        row = pick(grid.rows.start_row, window % grid.num_levels)
        x, y, anchor = (pick(of.flatten(), at) for of in (*cell.unbind(2), anchor))
        cells = Cells(target, row, y, x)
        if grid.num_shapes > grid.num_levels:  # every shape of a cell; the next ones follow
            source, shape = _shapes_at(grid, row)
            target, row, y, x = (pick(column, source) for column in cells)
            cells, anchor = Cells(target, row + shape, y, x), pick(anchor, source) + shape
        value = measure(grid, targets, cells, grid.measure)
        found.append(Found(cells.target, anchor, value))
    return join_found(grid, targets, found)


def _shapes_at(grid: Layout, row: Tensor) -> tuple[Tensor, Tensor]:
    """For cells (P,) of a level's first ``row``: the source (T,) of each of their shapes, and which
    one it is."""
    per = grid.shapes_per_level
    if min(per) < max(per):
        return spread(pick(grid.rows.per, row))
    every = torch.arange(len(row) * per[0], device=row.device)
    source = every.div(per[0], rounding_mode="floor")
    return source, every - source * per[0]


@detached
def closest(grid: Layout, targets: Targets, k: int, by: Callable) -> Pairs:
    """For every object the ``k`` anchors of all levels with the largest ``by(anchors, boxes)``.

    ``by`` takes boxes (P, 4) twice and falls, for anchors of one shape, as their centre moves away
    from the object's along either axis. Equal values: the lower anchor first.
    """
    level, row = grid.rows.level, torch.arange(grid.num_shapes, device=grid.device)[:, None]
    found = []
    for target, cell, away in _around(grid, targets, k):
        x, y = cell.index_select(1, level).unbind(2)
        real = (away.amax(2) < torch.inf).index_select(1, level)
        own = row.expand_as(y)  # (g, S, M), as all of these
        box = pick(targets.boxes, target).repeat_interleave(own[0].numel(), 0)
        value = by(grid.boxes_at(own.flatten(), y.flatten(), x.flatten()), box).view_as(y)
        value = torch.where(real, value, -torch.inf).flatten(1)
        ids = grid.index(own.flatten(), y.flatten(), x.flatten()).view_as(value)
        at = _k_largest(value, ids, k, full=False)
        target = pick(target, at.div(value.shape[1], rounding_mode="floor"))
        first = grid.first_of(pick(targets.image, target))
        found.append(Found(target, first + pick(ids.flatten(), at)))
    return join_found(grid, targets, found)


@detached
def in_cell(grid: Layout, targets: Targets) -> Pairs:
    """All anchors of the cell that holds the object's centre, on every level.

    A centre outside the map belongs to the nearest cell.
    """
    rows = grid.rows
    centre = centres(targets.of_real(targets.boxes)).detach()[:, None]
    cell = (centre / rows.step).clamp_(min=0, max=BEYOND).long()
    x, y = torch.minimum(cell, rows.cells - 1).unbind(-1)
    first = grid.first_of(targets.of_real(targets.image))[:, None]
    anchor = (y * rows.columns + x) * rows.per + rows.first + first  # (g, S)
    target = targets.real[:, None].expand_as(anchor)
    return join_found(grid, targets, [Found(target.flatten(), anchor.flatten())])
