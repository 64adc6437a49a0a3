"""Small problems: every pair of an anchor and an object in one table.

Where a batch has few objects a table takes few operations, and no wait but the one at its end: the
searches of the other files, which grow with what they return alone, are then slower, and far slower
on a GPU, where every operation costs its launch. A table gives the same pairs with the same bits,
in order of target, then anchor; who asks does not know which of the two has answered.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import pick
from kedge.types import Targets

# pairs up to which a table is faster. On a processor (benchmarks/assign_crossover.py) that depends
# on how cheap the search is which it replaces; on a GPU, where launches count, it is estimated
ON_A_PROCESSOR, ON_A_GPU = 1 << 20, 1 << 23
NOWHERE = -1e30  # where a place stands that is no anchor: outside of everything, without area
_forced: list[bool] = []


@contextmanager
def tables(always: bool) -> Iterator[None]:
    """For tests and measurements: every query by a table, or none, whatever its size."""
    _forced.append(always)
    try:
        yield
    finally:
        _forced.pop()


def fits(columns: int, targets: Targets, cost: int = 1) -> bool:
    """Whether a table of so many anchors of an image, by the objects of a batch, is small.

    ``cost``: of a pair on a processor, where joining boxes that lie anywhere is 1.
    """
    if _forced:
        return _forced[-1]
    pairs = columns * len(targets)
    if targets.boxes.device.type == "cpu":
        return cost * pairs <= ON_A_PROCESSOR
    return pairs <= ON_A_GPU


class Table:
    """The objects that are no crowds (g,), by the N places of each one's image.

    ``boxes`` (N, 4) of every image, or (B, N, 4). A place is a row of the batch's anchors: the
    ``image * N + n``-th, or the one that ``rows`` (B * N,) says.
    """

    def __init__(self, boxes: Tensor, targets: Targets, rows: Tensor | None = None) -> None:
        self.targets, self.boxes, self.rows = targets, boxes.detach(), rows
        self.width = boxes.shape[-2]
        every = targets.all_real
        self.image = targets.image if every else pick(targets.image, targets.real)
        self.box = (targets.boxes if every else pick(targets.boxes, targets.real)).detach()

    def _columns(self, values: Tensor) -> tuple[Tensor, ...]:
        """(1, N) or (g, N) each, of (N, D) or (B, N, D)."""
        values = values.movedim(-1, 0).contiguous()
        if values.ndim == 2 or values.shape[1] == 1:  # one row for all objects
            return values.view(len(values), 1, -1).unbind(0)
        return values.index_select(1, self.image).unbind(0)

    def iou(self) -> Tensor:
        """(g, N), equal to ``kedge.boxes.iou`` bit by bit; NaN for boxes that are."""
        dtype = torch.promote_types(self.box.dtype, self.boxes.dtype)
        dtype = torch.promote_types(dtype, torch.float32)
        x1, y1, x2, y2 = self.box.to(dtype)[..., None].unbind(1)
        u1, v1, u2, v2 = self._columns(self.boxes.to(dtype))
        shared = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_(min=0)
        shared *= (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_(min=0)
        union = ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)).sub_(shared)
        return shared.div_(union.masked_fill_(union <= 0, 1))

    def inside(self, points: Tensor, region: Tensor, margin: float) -> Tensor:
        """(g, N) bool: whether points (N, 2) or (B, N, 2) are more than ``margin`` inside regions
        (4, g, 1) or (4, g, N)."""
        u, v = self._columns(points.detach())
        x1, y1, x2, y2 = region
        held = (u - x1 > margin) & (x2 - u > margin)
        return held & (v - y1 > margin) & (y2 - v > margin)

    def pairs(self, anchors: Any, mask: Tensor, value: Tensor | None = None) -> Pairs:
        """The pairs where ``mask`` (g, N), with their ``value`` (g, N) as IoU."""
        at = mask.flatten().nonzero()[:, 0]
        g = at.div(self.width, rounding_mode="floor")
        target = g if self.targets.all_real else pick(self.targets.real, g)
        place = at + (pick(self.image, g) - g) * self.width
        return Pairs(
            anchors=anchors,
            targets=self.targets,
            anchor=place if self.rows is None else pick(self.rows, place),
            target=target,
            _iou=None if value is None else pick(value.flatten(), at),
        )


def overlapping(
    anchors: Any, table: Table, min_iou: float | Tensor, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou``, a number or (g, 1), and > 0.

    Only rows ``among`` (Q,) of the batch if given; ``min_iou`` may then be (Q,), one for each.
    """
    value = table.iou()
    if among is not None:
        floor = value.new_full((anchors.total(table.targets.batch_size),), torch.inf)
        floor[among] = torch.as_tensor(min_iou, dtype=floor.dtype, device=floor.device)
        floor = floor if table.rows is None else pick(floor, table.rows)
        min_iou = pick(floor.view(-1, table.width), table.image)
    return table.pairs(anchors, (value >= min_iou) & (value > 0), value)


def best(anchors: Any, table: Table) -> Pairs:
    """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""
    value = table.iou()
    top = value.amax(1, keepdim=True) if table.width else value
    return table.pairs(anchors, (value == top) & (value > 0), value)


def most_overlapping(anchors: Any, table: Table, k: int) -> Pairs:
    """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""
    value = table.iou()
    return table.pairs(anchors, _largest(value, k) & (value > 0), value)


def closest(anchors: Any, table: Table, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
    """For every target the ``k`` places of largest ``by(boxes, target boxes)``, (g, N) of (g, N, 4)
    or (1, N, 4) and (g, 1, 4); never one without a finite value. Equal values: the lowest place."""
    boxes = table.boxes[None] if table.boxes.ndim == 2 else pick(table.boxes, table.image)
    value = by(boxes, table.box[:, None])
    finite = torch.isfinite(value)
    return table.pairs(anchors, _largest(torch.where(finite, value, -torch.inf), k) & finite)


def nearest(anchors: Any, table: Table, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the target's centre; equal
    distances: the lower anchor. The table's boxes are all of ``anchors``, a grid."""
    u, v = (one.double() for one in table._columns(anchors.points().detach()))
    box = table.box.double()
    x, y = ((box[:, :2] + box[:, 2:]) / 2)[..., None].unbind(1)
    near = ((u - x).square() + (v - y).square()).neg()
    levels = near.split(anchors.per_level, dim=1)
    masks = [_largest(one, k * per) for one, per in zip(levels, anchors.shapes_per_level)]
    return table.pairs(anchors, torch.cat(masks, dim=1))


def _largest(value: Tensor, k: int) -> Tensor:
    """(g, N) bool: the ``k`` largest of every row, the lowest place among equals."""
    if k >= value.shape[1]:
        return torch.ones_like(value, dtype=torch.bool)
    least = value.topk(k, dim=1).values[:, -1:]
    above, level = value > least, value == least
    return above | (level & (level.cumsum(1) <= k - above.sum(1, keepdim=True)))


def inside(anchors: Any, table: Table, region: Tensor, margin: float) -> Pairs:
    """Pairs whose anchor's centre is inside the target's ``region`` (G, 4), or (G, L, 4) by the
    level of the anchor; the table's boxes are all of ``anchors``, which a batch shares."""
    area = region if table.targets.all_real else pick(region, table.targets.real)
    area = (area[:, None] if area.ndim == 2 else area).movedim(-1, 0).contiguous()
    if region.ndim == 3 and anchors.per_level is not None:
        parts = zip(area.split(1, dim=2), anchors.per_level)
        area = torch.cat([part.expand(-1, -1, count) for part, count in parts], dim=2)
    elif region.ndim == 3:
        area = area.index_select(2, anchors.level())
    return table.pairs(anchors, table.inside(anchors.points(), area, margin))
