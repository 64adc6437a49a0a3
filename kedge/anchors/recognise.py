"""A Grid read from a list of anchor boxes, such as other libraries make."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from kedge.anchors.boxes import Boxes
from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.remembered import remembered
from kedge.boxes import centres, sizes

MOST_LEVELS = 32


class NotAGrid(ValueError):
    """The boxes are no levels of cells: ``Boxes`` takes any list."""


@dataclass(frozen=True, eq=False)
class ListedGrid(Grid):
    """A Grid whose boxes are those of a list, bit for bit.

    The queries find anchors by the grid's arithmetic and measure on the list's own numbers, so
    what they answer is what a table of the list would say.
    """

    listed: Tensor | None = None

    def on(self, boxes: Tensor) -> Self:
        """The same cells on another list ``boxes`` (N, 4) of the same anchors."""
        out = copy.copy(self)
        object.__setattr__(out, "listed", boxes)
        for kept in ("_every_box", "measured"):  # those of the list before
            out.__dict__.pop(kept, None)
        return out

    def with_shapes(self, shapes: Tensor) -> Grid:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A plain ``Grid`` of other ``shapes`` (S, 2): the list does not have these."""
        return Grid(self.image_size, self.levels).with_shapes(shapes)

    def boxes(self, rows: Tensor | None = None) -> Tensor:
        """(P, 4) boxes of anchors (P,), those of the list; all of an image's without them."""
        if self.listed is None:
            return super().boxes(rows)
        return self.listed if rows is None else self.listed[self.local(rows)]

    def boxes_at(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, 4) boxes at ``row`` and cell y, x: the list's own where the map has that cell."""
        if self.listed is None:
            return super().boxes_at(row, y, x)
        at = self.index(row, y, x).clamp(0, len(self) - 1)
        here = (y >= 0) & (x >= 0) & (x < self.rows.cells[row, 0]) & (y < self.rows.cells[row, 1])
        # a query may look past the edge of a map before it drops what is not there
        return torch.where(here[..., None], self.listed[at], super().boxes_at(row, y, x))


@torch.no_grad()
def recognise(boxes: Tensor, per_level: Sequence[int] | None = None) -> ListedGrid:
    """The grid of which ``boxes`` (N, 4) are the anchors, in the same order.

    Expected order: level, then y, then x, then shape, with the same shapes in every cell of a
    level. ``per_level``: how many boxes each level has, where that is known; without it two levels
    of a single cell each with the same centre are read as one with more shapes.

    The list is then compared with the grid, box by box. Strides, offsets and shapes are those of
    the list; where a map has one cell along an axis, its step is the one that keeps the offset of
    the other axis or of the level before.

    Errors: ``NotAGrid``, with what does not fit.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        raise NotAGrid(f"expected anchor boxes (N, 4) xyxy, got {tuple(boxes.shape)}")
    flat = boxes.detach().cpu().double()
    if not bool(torch.isfinite(flat).all() and (sizes(flat) > 0).all()):
        raise NotAGrid("some boxes have no area, or are not finite")
    levels: list[Level] = []
    for part in [flat] if per_level is None else flat.split(list(per_level)):
        while len(part):
            if len(levels) == MOST_LEVELS:
                raise NotAGrid(f"after {MOST_LEVELS} levels there are still {len(part)} boxes")
            level, count = _first_level(part, levels[-1] if levels else None)
            levels.append(level)
            part = part[count:]
    if per_level is not None and len(levels) != len(per_level):
        raise NotAGrid(f"{len(per_level)} levels of boxes read as {len(levels)} maps of cells")
    grid = ListedGrid(_extent(levels), levels).on(boxes)
    grid = grid if grid.device == boxes.device else _moved(grid, boxes)
    require_fit(grid, boxes)
    return grid


def require_fit(grid: Grid, boxes: Tensor) -> None:
    """``NotAGrid`` unless every one of ``boxes`` (N, 4) is where the grid has that anchor.

    The tolerance is half of what the queries allow for rounding.
    """
    if len(grid) != len(boxes):
        raise NotAGrid(f"{len(boxes)} boxes do not fill a grid of {len(grid)}")
    away = float(_farthest(grid, boxes.detach()))
    allowed = 5e-4 + 5e-7 * max(grid.image_size)
    if not away <= allowed:
        raise NotAGrid(f"a box is {away:.2g} px from where the grid that begins the list has it")


def _farthest(grid: Grid, boxes: Tensor) -> Tensor:
    """() the largest difference of a coordinate between ``boxes`` and the grid's."""
    worst = []
    shapes = grid.shapes.detach().split(list(grid.shapes_per_level))
    parts = boxes.split(list(grid.anchors_per_level))
    for level, (rows, columns), shape, part in zip(grid.levels, grid.sizes, shapes, parts):
        y, x = (
            (torch.arange(count, device=boxes.device) + level.offset) * step
            for count, step in zip((rows, columns), level.strides)
        )
        centre = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)] * 2, dim=-1)
        expected = centre[:, :, None] + torch.cat([-shape, shape], dim=1) / 2
        away = expected.sub_(part.view(rows, columns, -1, 4))
        worst += [-away.amin(), away.amax()]
    return torch.stack(worst).amax()


def _moved(grid: ListedGrid, boxes: Tensor) -> ListedGrid:
    """The same grid with its shapes on the device of ``boxes``."""
    return ListedGrid(grid.image_size, grid.levels, grid.shapes.to(boxes.device)).on(boxes)


def _extent(levels: Sequence[Level]) -> tuple[int, int]:
    """(H, W) of an image that all cells fit into."""
    reach = [
        [cells * step for cells, step in zip(level.size or (1, 1), level.strides)]
        for level in levels
    ]
    height, width = (math.ceil(max(column) - 1e-3) for column in zip(*reach))
    return max(height, 1), max(width, 1)


def _leading(mask: Tensor) -> int:
    """How many values at the start of ``mask`` (P,) are true."""
    return int(mask.long().cumprod(0).sum())


def _first_level(part: Tensor, before: Level | None) -> tuple[Level, int]:
    """The level that ``part`` (P, 4) begins with, and its number of boxes."""
    centre, near = centres(part), 1e-3
    per = _leading((centre - centre[0]).abs().amax(1) <= near)
    x, y = centre[::per].unbind(1)
    columns = 1 + _leading((x[1:] > x[:-1] + near) & ((y[1:] - y[0]).abs() <= near))
    x, y = x[::columns], y[::columns]
    step = y[1] - y[0] if len(y) > 1 else y[0]
    even = (y[1:] - y[:-1] - step).abs() <= 0.1 * step
    rows = 1 + _leading((y[1:] > y[:-1] + near) & ((x[1:] - x[0]).abs() <= near) & even)
    count = per * columns * rows
    if count > len(part):
        raise NotAGrid(f"the last level ends in the middle of a row, {count - len(part)} boxes off")
    last = centre[count - 1]
    stride, offset = _steps(centre[0].tolist(), last.tolist(), (columns, rows), before)
    shapes = sizes(part[:per]).float()
    return Level(stride=stride, shapes=shapes, offset=offset, size=(rows, columns)), count


def _steps(
    first: list[float], last: list[float], cells: tuple[int, int], before: Level | None
) -> tuple[tuple[float, float], float]:
    """The stride (y, x) and the offset of cells from the ``first`` centre x, y to the ``last``."""
    steps = [(b - a) / (n - 1) if n > 1 else None for a, b, n in zip(first, last, cells)]
    steps = [step if step is None else _snapped(step, 1) for step in steps]
    offset = before.offset if before is not None and before.offset else 0.5
    offset = 0.0 if max(map(abs, first)) <= 1e-3 else offset
    for start, step in zip(first, steps):
        if step is not None:
            offset = _snapped(start / step, 2)
            break
    other = next((s for s in steps if s), 2 * before.strides[0] if before else 1.0)
    x, y = (
        step or (_snapped(start / offset, 1) if offset and start / offset > 0 else other)
        for start, step in zip(first, steps)
    )
    return (y, x), offset


def _snapped(value: float, parts: int) -> float:
    """``value``, or the multiple of ``1 / parts`` from which rounding alone moved it."""
    whole = round(value * parts) / parts
    return whole if abs(value - whole) < 1e-5 * max(1.0, abs(value)) else value


class GridReader:
    """Reads lists of anchors as grids, and remembers the last ones by their ends.

    ``reader(boxes)`` is ``recognise(boxes)``; a list like one that was seen is only compared with
    it, whole. Copies and files of a reader remember nothing. ``kind``: the class of its grids.
    """

    def __init__(self, kind: type[ListedGrid] = ListedGrid) -> None:
        self.kind = kind
        self._seen: dict[tuple[object, ...], ListedGrid] = {}

    def __reduce__(self) -> tuple[type["GridReader"], tuple[type[ListedGrid]]]:
        return type(self), (self.kind,)

    @torch.no_grad()
    def __call__(self, boxes: Tensor, per_level: Sequence[int] | None = None) -> ListedGrid:
        ends = tuple(boxes[[0, -1]].flatten().tolist()) if len(boxes) else ()
        key = (len(boxes), boxes.device, ends, None if per_level is None else tuple(per_level))
        known = self._seen.get(key)
        if known is not None:
            require_fit(known, boxes)
            return known.on(boxes)
        found = recognise(boxes, per_level)
        found = self.kind(found.image_size, found.levels, found.shapes).on(boxes)
        found.rows  # noqa: B018  # computed once, then shared by `on`
        remembered(self._seen, key, found.on(boxes[:0]))
        return found

    def or_list(self, boxes: Tensor, per_level: Sequence[int] | None = None) -> ListedGrid | Boxes:
        """The same; where the boxes are no grid, as half precision, proposals or a map of which a
        part was left out, a list."""
        try:
            return self(boxes, per_level)
        except NotAGrid:
            return Boxes(boxes.float())
