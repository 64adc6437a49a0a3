"""Cells of a layout: blocks of objects, runs of cells, and the pairs they become.

What the queries `overlap` and `centre` are made of. A *run* is a piece of one row of a feature
map; objects are taken in blocks of a fixed number of (object, shape) windows, so that an image with
a million objects needs no more working memory than one with a thousand.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from kedge.anchors.layout import Layout
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.join import spread
from kedge.anchors.segments import search
from kedge.rows import pick, pick_boxes, where
from kedge.types import Targets

BLOCK = 1 << 18  # (object, shape) windows that are held at once


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


def wide_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def blocks(grid: Layout, targets: Targets, ids: Tensor, width: int) -> Iterator[Block]:
    """Blocks of the objects ``ids`` (g,), each of at most BLOCK windows, ``width`` an object."""
    if len(ids) == 0:
        return
    wide = wide_dtype(grid.device)
    for target in ids.split(max(1, BLOCK // width)):
        boxes = targets.boxes[target].detach().to(wide)
        reach = boxes.abs().amax(1).clamp(min=grid.rows.extent)
        yield Block(target, boxes, 1e-3 + 1e-6 * reach)


def fill(runs: Runs) -> Cells:
    source, step = spread(runs.count)
    target, row, y, x = (pick(column, source) for column in runs[:4])
    return Cells(target, row, y, x + step)


def interval(low: Tensor, high: Tensor, stride: Tensor, offset: Tensor, cells: Tensor):
    """First cell and number of cells whose centres lie in [low, high]; broadcast."""
    first = (low / stride - offset).ceil().clamp(min=0)
    end = torch.minimum((high / stride - offset).floor(), cells - 1)
    return first.long(), (end - first + 1).clamp(min=0).long()


def rectangles(grid: Layout, target: Tensor, row: Tensor, low: Tensor, high: Tensor) -> Runs:
    """Runs of the cells of ``row`` whose centres lie in the rectangles low, high: (K,), (K, 2)."""
    rows = grid.rows
    stride, cells, offset = (pick(c, row) for c in (rows.step, rows.cells, rows.offset))
    x, wide = interval(low[:, 0], high[:, 0], stride[:, 0], offset, cells[:, 0])
    y, tall = interval(low[:, 1], high[:, 1], stride[:, 1], offset, cells[:, 1])
    source, step = spread(tall * (wide > 0))
    target, row, y, x, wide = (pick(column, source) for column in (target, row, y, x, wide))
    return Runs(target, row, y + step, x, wide)


def kept(cells: Cells, keep: Tensor) -> tuple[Cells, Tensor]:
    """The cells where ``keep`` is true, and their rows."""
    rows = where(keep)
    return Cells(*(pick(column, rows) for column in cells)), rows


def flat(grid: Layout, targets: Targets, cells: Cells) -> Tensor:
    """Flat anchor ids (P,)."""
    image = pick(targets.image, cells.target)
    return grid.first_of(image) + grid.index(cells.row, cells.y, cells.x)


def join_found(grid: Layout, targets: Targets, found: list[Found]) -> Pairs:
    """Joins the blocks' results into one set of pairs."""
    if not found:
        none = torch.zeros(0, dtype=torch.int64, device=grid.device)
        found = [Found(none, none, none.to(grid.shapes.dtype))]
    known = [part.iou for part in found if part.iou is not None]
    return Pairs(
        anchors=grid,  # pyright: ignore[reportArgumentType]  # a Grid: only it asks
        targets=targets,
        anchor=_joined([part.anchor for part in found]),
        target=_joined([part.target for part in found]),
        _iou=_joined(known) if known else None,
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def measure(grid: Layout, targets: Targets, cells: Cells, of: Callable) -> Tensor:
    """``of(anchor boxes, target boxes)`` of every cell, in the arithmetic of the dense form."""
    return of(grid.boxes_at(cells.row, cells.y, cells.x), pick_boxes(targets.boxes, cells.target))


def product(sides: Tensor) -> Tensor:
    """(...) product of the last dimension of two; ``prod`` is slow on so short a dimension."""
    return sides[..., 0] * sides[..., 1]


# -- what is asked of an anchor --------------------------------------------------------------------


class Everywhere(NamedTuple):
    """Any anchor may answer, with at least ``floor``."""

    floor: Tensor  # ()

    def least(self, targets: Targets, block: Block) -> Tensor:
        """What is asked of every (object, shape) of a block: broadcasts to (g, S)."""
        del targets
        return self.floor.to(block.boxes)

    def cells(self, grid: Layout, targets: Targets, runs: Runs) -> tuple[Cells, Tensor]:
        """The cells of ``runs``, and what is asked of each."""
        return fill(runs), self.floor


class OfTarget(NamedTuple):
    """Any anchor may answer, with at least the floor of its target."""

    floor: Tensor  # (G,)

    def least(self, targets: Targets, block: Block) -> Tensor:
        """What is asked of every (object, shape) of a block: broadcasts to (g, S)."""
        del targets
        return pick(self.floor, block.target)[:, None].to(block.boxes)

    def cells(self, grid: Layout, targets: Targets, runs: Runs) -> tuple[Cells, Tensor]:
        """The cells of ``runs``, and what is asked of each."""
        del grid, targets
        cells = fill(runs)
        return cells, pick(self.floor, cells.target)


class Among(NamedTuple):
    """Some anchors only, each with its own floor, in (image, level, shape, y, x) order.

    A run of cells is contiguous in this order.
    """

    key: Tensor  # (Q,) ascending
    floor: Tensor  # (Q,)
    lowest: Tensor  # (B, S) the smallest floor on a shape of an image; 2 where there is none

    def least(self, targets: Targets, block: Block) -> Tensor:
        """What is asked at least of every (object, shape) of a block: (g, S)."""
        return pick(self.lowest, pick(targets.image, block.target)).to(block.boxes)

    def cells(self, grid: Layout, targets: Targets, runs: Runs) -> tuple[Cells, Tensor]:
        """The cells of ``runs`` that are among these, and what is asked of each."""
        rows = grid.rows
        base = grid.first_of(pick(targets.image, runs.target)) + pick(rows.major, runs.row)
        base = base + runs.y * pick(rows.columns, runs.row)
        start = search(self.key, base + runs.x)
        stop = search(self.key, base + runs.x + runs.count)
        source, step = spread((stop - start).clamp(min=0))
        at = pick(start, source) + step
        target, row, y = (pick(column, source) for column in runs[:3])
        return Cells(target, row, y, pick(self.key, at) - pick(base, source)), pick(self.floor, at)


Question = Everywhere | OfTarget | Among


def asked(grid: Layout, targets: Targets, floor: float | Tensor, among: Tensor | None) -> Question:
    """``floor`` of every anchor, one for all or (G, 1), or of the unique flat ids ``among`` (Q,):
    then it may be (Q,)."""
    least = torch.as_tensor(floor, dtype=grid.shapes.dtype, device=grid.device)
    if among is None:
        if least.shape == (len(targets), 1):
            return OfTarget(least[:, 0])
        if least.ndim:
            raise ValueError(
                f"min_iou may be a number, ({len(targets)}, 1), one for each object, or with "
                f"`among` one for each anchor; got {tuple(least.shape)}"
            )
        return Everywhere(least)
    least = least.expand(len(among))
    row, y, x = grid.row_and_cell(among)
    image = grid.image_of(among)
    key = grid.first_of(image) + pick(grid.rows.major, row) + y * pick(grid.rows.columns, row) + x
    lowest = least.new_full((targets.batch_size * grid.num_shapes,), 2.0)
    slot = image * grid.num_shapes + row
    lowest = lowest.scatter_reduce(0, slot, least, "amin").view(-1, grid.num_shapes)
    key, order = key.sort()
    return Among(key, pick(least, order), lowest)
