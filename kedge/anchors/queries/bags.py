"""Bags: the anchors that overlap a target most, without looking at all anchors."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.layout import Layout
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries import table
from kedge.anchors.queries.cells import BLOCK, wide_dtype
from kedge.anchors.queries.overlap import SLACK, placed_iou
from kedge.anchors.queries.table import Table
from kedge.boxes import centres, iou
from kedge.rows import kth_largest, pick
from kedge.types import Anchors, Targets

FITTING = 2  # shapes of a grid that are tried about an object's centre
LADDER = (0.6, 0.35, 0.15, 0.05, 0.0)


@detached
def most_overlapping(
    anchors: Anchors[Pairs], targets: Targets, k: int, few: Table | None = None
) -> Pairs:
    """For every target the ``k`` anchors of largest IoU, ordered by target; equal IoU: the lowest
    anchor.

    A target with fewer than ``k`` anchors at IoU > 0 has all of those. Exact: the threshold comes
    down a ladder, and a target leaves it as soon as ``k`` anchors are above, so that a large
    object never lists every anchor that touches it. ``few``: all pairs, where a table holds them.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if few is not None:
        return table.most_overlapping(anchors, few, k)
    found: list[Pairs] = []
    open_ = ~targets.ignore
    for threshold in LADDER:
        pairs = anchors.overlapping(targets.only(open_), threshold)
        done = (pairs.count_per_target() >= k) if threshold > 0 else torch.ones_like(open_)
        pairs = pairs.select(done[pairs.target])
        found.append(pairs.select(pairs.top_per_target(pairs.iou(), k)))
        open_ = open_ & ~done
    bag = found[0]
    for more in found[1:]:
        bag = bag.join(more)
    return replace(bag, targets=targets)


@detached
def most_overlapping_of_grid(grid: Any, targets: Targets, k: int) -> Pairs:
    """The same on a ``Grid``: what the cells around an object's centre reach is a floor that ``k``
    anchors are not below, so one query finds them all. Where there are too few such cells, the
    ladder is taken."""
    floor = _reached(grid, targets, k)
    known = floor > 0
    pairs = grid.overlapping(targets.only(known), floor[:, None])
    bag = replace(pairs, targets=targets)
    bag = bag.select(bag.top_per_target(bag.iou(), k))
    open_ = ~(targets.ignore | known)
    if open_.any():
        rest = most_overlapping(grid, targets.only(open_), k)
        bag = bag.join(replace(rest, targets=targets))
    return bag


def _reached(grid: Layout, targets: Targets, k: int) -> Tensor:
    """(G,) an IoU that at least ``k`` anchors reach; 0 where none is known.

    The k-th largest of a square of cells about the object's centre, of the shapes that fit best.
    """
    side = math.isqrt(k - 1) + 2
    rows, width = grid.rows, min(FITTING, grid.num_shapes)
    floor = targets.boxes.new_zeros(len(targets))
    for part in targets.real.split(max(1, BLOCK // (side * side * width))):
        box = pick(targets.boxes, part).detach().to(wide_dtype(grid.device))
        row = placed_iou(grid, box).topk(width, dim=1).indices
        cells, offset = rows.cells[row], rows.offset[row][..., None]
        first = (centres(box)[:, None] / rows.step[row] - offset).floor().long() - (side // 2 - 1)
        first = torch.minimum(first, cells - side).clamp(min=0)
        at = first[..., None] + torch.arange(side, device=grid.device)  # (g, s, 2, side)
        real = at < cells[..., None]
        x, y = (torch.where(real, at, 0)[:, :, i] for i in (0, 1))
        there = real[:, :, 0, None, :] & real[:, :, 1, :, None]  # (g, s, rows, columns)
        every = (row[..., None, None], y[..., None], x[:, :, None])
        row, y, x = (column.expand_as(there).flatten() for column in every)
        held = pick(targets.boxes, part).repeat_interleave(side * side * width, dim=0)
        value = iou(grid.boxes_at(row, y, x), held).view(len(part), side * side * width)
        value = value.masked_fill(~there.flatten(1), 0)
        if value.shape[1] >= k:
            floor[part] = kth_largest(value, k)[:, 0].to(floor.dtype)
    return floor * (1 - SLACK)  # whatever it was rounded to
