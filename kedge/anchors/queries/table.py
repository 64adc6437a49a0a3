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
from kedge.anchors.queries.columns import columns, sides_of
from kedge.anchors.segments import rank
from kedge.boxes import unflip
from kedge.rows import pick, where
from kedge.types import Targets

# pairs up to which a table is faster. On a processor (benchmarks/assign_crossover.py) that depends
# on how cheap the search is which it replaces; on a GPU, where launches count, it is estimated
ON_A_PROCESSOR, ON_A_GPU = 1 << 20, 1 << 23
# objects, or pairs, of an image up to which a table joins boxes that lie anywhere, whatever their
# number
PER_IMAGE, PAIRS_PER_IMAGE = 48, 3 << 17
PART = 1 << 17  # pairs of a table that a processor's cache holds
LISTED = 1 << 15  # pairs from which a processor breaks ties in a list, and a GPU in the table
SLACK = 1e-5  # relative; more than rounding moves an IoU
_forced: list[bool] = []

Answer = tuple[Tensor, Tensor | None]  # (K,) entries of a table, row by row, and their IoU
Measure = Callable[[Tensor, Tensor], Tensor]


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
        batch = targets.batch_size
        few = len(targets) <= PER_IMAGE * batch or pairs <= PAIRS_PER_IMAGE * batch
        return (cost == 1 and few) or cost * pairs <= ON_A_PROCESSOR
    return pairs <= ON_A_GPU


def few_launches(targets: Targets) -> bool:
    """Whether few operations are worth more than little work: on a GPU."""
    return _forced[-1] if _forced else targets.boxes.device.type != "cpu"


class Table:
    """The objects that are no crowds (g,), by the N places of each one's image.

    ``boxes`` (N, 4) of every image, or (B, N, 4). A place is a row of the batch's anchors: the
    ``image * N + n``-th, or the one that ``rows`` (B * N,) says. ``sides``: ``sides_of(boxes)``,
    where the caller keeps them; ``real`` (g,): only these objects; ``measure``: what stands in the
    place of the IoU, of boxes (..., 4) whose leading dimensions broadcast; ``flipped``: whether a
    box may have negative sides, which are then raised to zero.
    """

    def __init__(
        self,
        boxes: Tensor,
        targets: Targets,
        rows: Tensor | None = None,
        sides: Tensor | None = None,
        real: Tensor | None = None,
        measure: Measure | None = None,
        flipped: bool = False,
    ) -> None:
        self.targets, self.boxes, self.rows = targets, boxes.detach(), rows
        self.measure, self.flipped = measure, flipped
        self.width = boxes.shape[-2]
        self.real = targets.real if real is None else real
        self.every = real is None and targets.all_real
        self.image, self.box = self.of(targets.image), self.of(targets.boxes).detach()
        wide = torch.promote_types(self.box.dtype, self.boxes.dtype)
        self.dtype = torch.promote_types(wide, torch.float32)  # of an IoU
        known = sides is not None and sides.dtype == self.dtype  # else areas would be rounded
        self._sides = sides if known else None
        self._own: Tensor | None = None  # sides of the boxes of `images` alone
        # the one image of all objects, or as many as objects, one for each in their order
        self.images: slice | None = None

    def __len__(self) -> int:
        return len(self.real)

    def whole(self, numbers: int = 1) -> bool:
        """Whether the table, of so many numbers a pair, is not taken in pieces."""
        return self.box.device.type != "cpu" or numbers * len(self) * self.width <= PART

    def of(self, values: Tensor) -> Tensor:
        """(g, ...) of values (G, ...) of all objects."""
        return values if self.every else pick(values, self.real)

    @property
    def laid(self) -> Tensor:
        """(5, 1, N) or (5, B, N) what ``sides_of`` gives of all boxes, once it is asked for."""
        if self._sides is None:
            self._sides = sides_of(self.boxes, self.dtype, self.flipped)
        return self._sides

    @property
    def sides(self) -> Tensor:
        """(5, 1, N) or (5, g, N) ``laid``, of every object's image."""
        if self.images is None or self._sides is not None or self.boxes.ndim == 2:
            return self.at(self.laid)
        if self._own is None:  # laid out piece by piece, while they are in a cache
            self._own = sides_of(self.boxes[self.images], self.dtype, self.flipped)
        return self._own

    def at(self, values: Tensor) -> Tensor:
        """(D, 1, N) or (D, g, N), of columns (D, 1, N) or (D, B, N)."""
        if values.shape[1] == 1:  # for all objects
            return values
        if self.images is not None:
            return values[:, self.images]
        return values.index_select(1, self.image)

    def areas(self) -> tuple[Tensor, Tensor]:
        """(g, N) shared by both boxes, and the sum of their own; NaN for boxes that are."""
        x1, y1, x2, y2 = self.box.to(self.dtype)[..., None].unbind(1)
        u1, v1, u2, v2, own = self.sides
        shared = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_(min=0)
        shared *= (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_(min=0)
        return shared, (x2 - x1) * (y2 - y1) + own

    def by(self, measure: Measure) -> Tensor:
        """(g, N) a measure of boxes (..., 4)."""
        if self.dtype == self.boxes.dtype:
            sides = self.sides[:4]  # in memory as in a table: faster
        else:
            sides = self.at(columns(unflip(self.boxes) if self.flipped else self.boxes))
        return measure(sides.movedim(0, -1), self.box[:, None])

    def iou(self) -> Tensor:
        """(g, N), equal to ``kedge.boxes.iou`` bit by bit; or the table's measure."""
        if self.measure is not None:
            return self.by(self.measure)
        shared, both = self.areas()
        union = both.sub_(shared)
        return shared.div_(union.masked_fill_(union <= 0, 1))

    def entries(self, ask: Callable[["Table"], Answer], numbers: int = 1) -> Answer:
        """What ``ask``, which holds so many numbers a pair, gives of the table: asked of pieces
        that a processor's cache holds."""
        if self.whole(numbers):
            return ask(self)
        size = max(1, PART // max(numbers * self.width, 1))
        found, image, last = [], self.image.tolist(), None
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            images = _images(image[start:stop])
            part = Table(
                self.boxes, self.targets, self.rows, self._sides if images else self.laid,
                self.real[start:stop], self.measure, self.flipped,
            )  # fmt: skip
            part.images = images
            if last is not None and last.images == images:
                part._own = last._own
            last = part
            at, value = ask(part)
            found.append((at + start * self.width, value))
        at, value = (list(column) for column in zip(*found))
        return torch.cat(at), None if value[0] is None else torch.cat(value)

    def place(self, entries: Tensor) -> tuple[Tensor, Tensor]:
        """Object (K,) below g, and place (K,) in the batch, of some entries (K,)."""
        g = entries.div(max(self.width, 1), rounding_mode="floor")
        return g, entries + (pick(self.image, g) - g) * self.width

    def pairs(self, anchors: Any, entries: Tensor, value: Tensor | None = None) -> Pairs:
        """The pairs of some entries (K,)."""
        g, place = self.place(entries)
        return Pairs(
            anchors=anchors,
            targets=self.targets,
            anchor=place if self.rows is None else pick(self.rows, place),
            target=g if self.every else pick(self.real, g),
            _iou=value,
        )


def _images(image: list[int]) -> slice | None:
    """Of which images ascending ``image`` (g,) is: where that is one, or one for each of the g."""
    first, last = image[0], image[-1]
    spread = last - first + 1
    known = spread == 1 or (spread == len(image) == len(set(image)))
    return slice(first, last + 1) if known else None


def _where(mask: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    at = where(mask.flatten())
    return at, pick(value.flatten(), at)


def overlapping(
    anchors: Any, table: Table, min_iou: float | Tensor, among: Tensor | None = None
) -> Pairs:
    """Every pair with IoU >= ``min_iou``, a number or (G, 1), and > 0.

    Only rows ``among`` (Q,) of the batch if given; ``min_iou`` may then be (Q,), one for each.
    IoU >= t says that the area shared is at least t / (1 + t) of both boxes' own: so much is asked
    of all, without a division, and the IoU itself of what is left.
    """
    by_object = min_iou if isinstance(min_iou, Tensor) and min_iou.ndim == 2 else None
    by_place = None if among is None else _of_places(anchors, table, min_iou, among)

    def least(part: Table) -> float | Tensor:
        if by_place is None:
            return min_iou if by_object is None else part.of(by_object)
        floor = part.at(by_place)[0]
        return floor if by_object is None else torch.maximum(floor, part.of(by_object))

    def exactly(part: Table) -> Answer:
        value = part.iou()
        return _where((value >= least(part)) & (value > 0), value)

    if table.whole():
        return table.pairs(anchors, *exactly(table))
    if table.measure is not None:
        return table.pairs(anchors, *table.entries(exactly, numbers=2))

    def ask(part: Table) -> Answer:
        shared, both = part.areas()
        floor = least(part) * (1 - SLACK)
        if not isinstance(floor, Tensor) and floor <= 0:
            near = shared > 0
        else:
            near = shared * ((1 + floor) / floor) >= both
        at = where(near.flatten())
        shared = pick(shared.flatten(), at)
        union = pick(both.flatten(), at) - shared
        return at, shared.div_(union.masked_fill_(union <= 0, 1))

    entries, value = table.entries(ask)
    assert value is not None
    keep = value > 0
    if by_place is None and by_object is None:
        keep &= value >= min_iou
    else:
        g, place = table.place(entries)
        if by_place is not None:
            keep &= value >= pick(by_place.flatten(), place)
        if by_object is not None:
            keep &= value >= pick(pick(by_object[:, 0], table.real), g)
    rows = where(keep)
    return table.pairs(anchors, pick(entries, rows), pick(value, rows))


def _of_places(anchors: Any, table: Table, min_iou: float | Tensor, among: Tensor) -> Tensor:
    """(1, B, N) what is asked of every place: infinity outside of rows ``among`` (Q,)."""
    rows = anchors.total(table.targets.batch_size)
    rows = torch.full((rows,), torch.inf, dtype=table.dtype, device=among.device)
    by_object = isinstance(min_iou, Tensor) and min_iou.ndim == 2
    floor = torch.as_tensor(0.0 if by_object else min_iou, device=among.device)
    rows.scatter_(0, among, floor.to(table.dtype).expand(len(among)))
    rows = rows if table.rows is None else pick(rows, table.rows)
    return rows.view(1, -1, table.width)


def best(anchors: Any, table: Table) -> Pairs:
    """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""

    def ask(part: Table) -> Answer:
        value = part.iou()
        top = value.amax(1, keepdim=True) if part.width else value
        return _where((value == top) & (value > 0), value)

    return table.pairs(anchors, *table.entries(ask))


def most_overlapping(anchors: Any, table: Table, k: int) -> Pairs:
    """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""

    def ask(part: Table) -> Answer:
        return _largest(part.iou(), k, above=0)

    return table.pairs(anchors, *table.entries(ask))


def closest(anchors: Any, table: Table, k: int, by: Measure) -> Pairs:
    """For every target the ``k`` places of largest ``by(boxes, target boxes)``, (g, N) of (g, N, 4)
    or (1, N, 4) and (g, 1, 4); never one without a finite value. Equal values: the lowest place."""

    def ask(part: Table) -> Answer:
        never = dict.fromkeys(("nan", "posinf", "neginf"), -torch.inf)
        return _largest(part.by(by).nan_to_num(**never), k, above=-torch.inf)[0], None

    return table.pairs(anchors, *table.entries(ask, numbers=2))


def _largest(value: Tensor, k: int, above: float) -> tuple[Tensor, Tensor]:
    """Entries (K,) of the ``k`` largest values ``above`` a number of every row (g, N), the lowest
    place among equals; and those values."""
    least = value.topk(min(k, value.shape[1]), dim=1).values[:, -1:]
    if value.device.type == "cpu" and value.numel() >= LISTED:
        at, found = _where(value >= least, value)
        keep = found > above
        if len(at) > k * len(value):  # ties
            row = at.div(value.shape[1], rounding_mode="floor")
            keep &= rank(found, row, largest=True) < k
        rows = where(keep)
        return pick(at, rows), pick(found, rows)
    more, level = value > least, value == least
    keep = more | (level & (level.cumsum(1) <= k - more.sum(1, keepdim=True)))
    return _where(keep & (value > above), value)


def inside(anchors: Any, table: Table, region: Tensor, margin: float) -> Pairs:
    """Pairs whose anchor's centre is inside the target's ``region`` (G, 4), or (G, L, 4) by the
    level of the anchor; the table's boxes are all of ``anchors``, a grid."""
    points = columns(anchors.points().detach())

    def ask(part: Table) -> Answer:
        sides = part.of(region).movedim(-1, 0)  # (4, g) or (4, g, L)
        if region.ndim == 3:
            levels = zip(sides.split(1, dim=2), anchors.per_level)
            sides = torch.cat([one.expand(-1, -1, count) for one, count in levels], dim=2)
        else:
            sides = sides[..., None]
        u, v = part.at(points)
        x1, y1, x2, y2 = sides
        within = u - x1
        for distance in (x2 - u, v - y1, y2 - v):
            within = torch.minimum(within, distance, out=within)
        return where((within > margin).flatten()), None

    return table.pairs(anchors, *table.entries(ask))
