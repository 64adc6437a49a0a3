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
from kedge.anchors.segments import pick, where
from kedge.types import Targets

# pairs up to which a table is faster. On a processor (benchmarks/assign_crossover.py) that depends
# on how cheap the search is which it replaces; on a GPU, where launches count, it is estimated
ON_A_PROCESSOR, ON_A_GPU = 1 << 20, 1 << 23
PART = 1 << 17  # pairs of a table that a processor's cache holds
NOWHERE = -1e30  # where a place stands that is no anchor: outside of everything, without area
_forced: list[bool] = []

Answer = tuple[Tensor, Tensor | None]  # (g, N) which pairs, and their IoU


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
    ``image * N + n``-th, or the one that ``rows`` (B * N,) says. ``sides``: ``columns(boxes)``,
    where the caller keeps them; ``real`` (g,): only these objects.
    """

    def __init__(
        self,
        boxes: Tensor,
        targets: Targets,
        rows: Tensor | None = None,
        sides: Tensor | None = None,
        real: Tensor | None = None,
    ) -> None:
        self.targets, self.boxes, self.rows = targets, boxes.detach(), rows
        self.width = boxes.shape[-2]
        self.sides = columns(self.boxes) if sides is None else sides
        self.real = targets.real if real is None else real
        every = real is None and targets.all_real
        self.image = targets.image if every else pick(targets.image, self.real)
        self.box = (targets.boxes if every else pick(targets.boxes, self.real)).detach()
        wide = torch.promote_types(self.box.dtype, self.boxes.dtype)
        self.dtype = torch.promote_types(wide, torch.float32)  # of an IoU

    def __len__(self) -> int:
        return len(self.real)

    def at(self, values: Tensor) -> tuple[Tensor, ...]:
        """(1, N) or (g, N) each, of columns (D, 1, N) or (D, B, N)."""
        if values.shape[1] > 1:  # else one row for all objects
            values = values.index_select(1, self.image)
        return values.unbind(0)

    def iou(self) -> Tensor:
        """(g, N), equal to ``kedge.boxes.iou`` bit by bit; NaN for boxes that are."""
        x1, y1, x2, y2 = self.box.to(self.dtype)[..., None].unbind(1)
        u1, v1, u2, v2 = self.at(self.sides.to(self.dtype))
        shared = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_(min=0)
        shared *= (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_(min=0)
        union = ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)).sub_(shared)
        return shared.div_(union.masked_fill_(union <= 0, 1))

    def _parts(self) -> "list[Table]":
        """The table in pieces that a processor's cache holds; whole on a GPU."""
        size = max(1, PART // max(self.width, 1))
        if self.box.device.type != "cpu" or len(self) <= size:
            return [self]
        parts = self.real.split(size)
        return [Table(self.boxes, self.targets, self.rows, self.sides, real) for real in parts]

    def pairs(self, anchors: Any, ask: Callable[["Table"], Answer]) -> Pairs:
        """The pairs where the mask is true that ``ask`` gives for a part of the table."""
        found = [part._pairs(*ask(part)) for part in self._parts()]
        anchor, target, value = found[0] if len(found) == 1 else (_cat(c) for c in zip(*found))
        return Pairs(
            anchors=anchors, targets=self.targets, anchor=anchor, target=target, _iou=value
        )

    def _pairs(self, mask: Tensor, value: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        at = where(mask.flatten())
        g = at.div(max(self.width, 1), rounding_mode="floor")
        place = at + pick((self.image - torch.arange(len(self), device=at.device)) * self.width, g)
        anchor = place if self.rows is None else pick(self.rows, place)
        return anchor, pick(self.real, g), None if value is None else pick(value.flatten(), at)


def columns(values: Tensor) -> Tensor:
    """(D, 1, N) or (D, B, N) contiguous, of (N, D) or (B, N, D)."""
    values = values.movedim(-1, 0).contiguous()
    return values[:, None] if values.ndim == 2 else values


def _cat(parts: tuple) -> Any:
    return None if parts[0] is None else torch.cat(parts)


def overlapping(
    anchors: Any, table: Table, min_iou: float | Tensor, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou``, a number or (G, 1), and > 0.

    Only rows ``among`` (Q,) of the batch if given; ``min_iou`` may then be (Q,), one for each.
    """
    by_object = min_iou if isinstance(min_iou, Tensor) and min_iou.ndim == 2 else None
    asked = None  # (1, B, N) of every place
    if among is not None:
        rows = anchors.total(table.targets.batch_size)
        asked = torch.full((rows,), torch.inf, dtype=table.dtype, device=among.device)
        least = torch.as_tensor(min_iou if by_object is None else 0.0, device=among.device)
        asked.scatter_(0, among, least.to(table.dtype).expand(len(among)))
        asked = asked if table.rows is None else pick(asked, table.rows)
        asked = asked.view(1, -1, table.width)

    def ask(part: Table) -> Answer:
        value = part.iou()
        mask = value > 0
        if asked is not None:
            mask &= value >= part.at(asked)[0]
        if by_object is not None:
            mask &= value >= pick(by_object, part.real)
        elif asked is None:
            mask &= value >= min_iou
        return mask, value

    return table.pairs(anchors, ask)


def best(anchors: Any, table: Table) -> Pairs:
    """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""

    def ask(part: Table) -> Answer:
        value = part.iou()
        top = value.amax(1, keepdim=True) if part.width else value
        return (value == top) & (value > 0), value

    return table.pairs(anchors, ask)


def most_overlapping(anchors: Any, table: Table, k: int) -> Pairs:
    """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""

    def ask(part: Table) -> Answer:
        value = part.iou()
        return _largest(value, k) & (value > 0), value

    return table.pairs(anchors, ask)


def closest(anchors: Any, table: Table, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
    """For every target the ``k`` places of largest ``by(boxes, target boxes)``, (g, N) of (g, N, 4)
    or (1, N, 4) and (g, 1, 4); never one without a finite value. Equal values: the lowest place."""

    def ask(part: Table) -> Answer:
        boxes = part.boxes[None] if part.boxes.ndim == 2 else pick(part.boxes, part.image)
        value = by(boxes, part.box[:, None])
        finite = torch.isfinite(value)
        return _largest(torch.where(finite, value, -torch.inf), k) & finite, None

    return table.pairs(anchors, ask)


def nearest(anchors: Any, table: Table, k: int) -> Pairs:
    """The anchors of the ``k`` cells of every level nearest to the target's centre; equal
    distances: the lower anchor. The table's boxes are all of ``anchors``, a grid."""
    points = columns(anchors.points().detach()).double()

    def ask(part: Table) -> Answer:
        box, (u, v) = part.box.double(), part.at(points)
        x, y = ((box[:, :2] + box[:, 2:]) / 2)[..., None].unbind(1)
        near = ((u - x).square() + (v - y).square()).neg()
        levels = zip(near.split(anchors.per_level, dim=1), anchors.shapes_per_level)
        return torch.cat([_largest(one, k * per) for one, per in levels], dim=1), None

    return table.pairs(anchors, ask)


def _largest(value: Tensor, k: int) -> Tensor:
    """(g, N) bool: the ``k`` largest of every row, the lowest place among equals."""
    if k >= value.shape[1]:
        return torch.ones_like(value, dtype=torch.bool)
    least = value.topk(k, dim=1).values[:, -1:]
    above, level = value > least, value == least
    return above | (level & (level.cumsum(1) <= k - above.sum(1, keepdim=True)))


def inside(anchors: Any, table: Table, region: Tensor, margin: float) -> Pairs:
    """Pairs whose anchor's centre is inside the target's ``region`` (G, 4), or (G, L, 4) by the
    level of the anchor; the table's boxes are all of ``anchors``, a grid."""
    points = columns(anchors.points().detach())

    def ask(part: Table) -> Answer:
        area = pick(region, part.real)
        if region.ndim == 3:
            levels = zip(area.split(1, dim=1), anchors.per_level)
            area = torch.cat([one.expand(-1, count, -1) for one, count in levels], dim=1)
        else:
            area = area[:, None]
        u, v = part.at(points)
        x1, y1, x2, y2 = area.movedim(-1, 0).contiguous()
        held = (u - x1 > margin) & (x2 - u > margin)
        return held & (v - y1 > margin) & (y2 - v > margin), None

    return table.pairs(anchors, ask)
