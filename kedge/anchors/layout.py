"""Layout: levels x cells x shapes, and the way from an anchor's number to its place and its box.

A layout never stores its boxes. An anchor is a number; its level, cell and shape follow by
division, and its box from those, differentiable in the shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from kedge.anchors.level import Level
from kedge.boxes import iou
from kedge.rows import pick, pick_boxes

KEPT = 1 << 20  # anchors of an image up to which their places are kept: 24 bytes each


class Place(NamedTuple):
    """Where anchors stand: (P,) each. ``shape`` counts within the level."""

    level: Tensor
    y: Tensor
    x: Tensor
    shape: Tensor


class Rows(NamedTuple):
    """The geometry of every (level, shape), one row each: S rows in index order."""

    level: Tensor  # (S,)
    sub: Tensor  # (S,) shape within its level
    per: Tensor  # (S,) shapes on its level
    start: Tensor  # (S,) first anchor of its level
    major: Tensor  # (S,) first id of this row in shape-major order: (level, shape, y, x)
    cells: Tensor  # (S, 2) columns, rows
    step: Tensor  # (S, 2) from cell to cell, x, y in the grid's dtype
    stride: Tensor  # (S, 2) x, y; the step unless that is measured
    offset: Tensor  # (S,)
    columns: Tensor  # (S,) cells[:, 0]
    first: Tensor  # (S,) anchor of this row at its level's first cell
    start_row: Tensor  # (L,) first row of every level
    extent: float  # the farthest coordinate of the image or of a cell


class Maps(NamedTuple):
    """The geometry of every feature map, one row each: L rows."""

    start: Tensor  # (L,) its first anchor
    pitch: Tensor  # (L, 2) anchors from a cell to the next one, and to the next row's
    cells: Tensor  # (L, 2) columns, rows
    step: Tensor  # (L, 2) from cell to cell, x, y in the grid's dtype
    stride: Tensor  # (L, 2) x, y; the step unless that is measured
    offset: Tensor  # (L, 1)
    extent: float  # the farthest coordinate of the image or of a cell
    finest: float  # the smallest step


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the anchors of ``levels`` stand over images of ``image_size`` (H, W): see ``Grid``."""

    image_size: tuple[int, int]
    levels: Sequence[Level]
    _shapes: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("Grid needs at least one Level")
        if min(self.image_size) <= 0:
            raise ValueError(f"Grid.image_size must be (H, W) in pixels, got {self.image_size}")
        if self._shapes is not None and self._shapes.shape != (self.num_shapes, 2):
            raise ValueError(
                f"this grid has {self.num_shapes} shapes, "
                f"got a tensor of {tuple(self._shapes.shape)}"
            )

    # -- shapes and layout

    @property
    def shapes(self) -> Tensor:
        """(S, 2) shapes w, h of all levels, stacked in index order."""
        return self._stated if self._shapes is None else self._shapes

    @cached_property
    def _stated(self) -> Tensor:
        return torch.cat([level.shapes_tensor() for level in self.levels])

    @cached_property
    def num_shapes(self) -> int:
        """S, the shapes of all levels."""
        return sum(self.shapes_per_level)

    @cached_property
    def shapes_per_level(self) -> tuple[int, ...]:
        """Number of shapes on every level."""
        return tuple(len(level.shapes_tensor()) for level in self.levels)

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of every level."""
        return tuple(level.size_in(self.image_size) for level in self.levels)

    @cached_property
    def anchors_per_level(self) -> tuple[int, ...]:
        """Number of anchors of every level."""
        return tuple(h * w * a for (h, w), a in zip(self.sizes, self.shapes_per_level))

    @property
    def num_levels(self) -> int:
        """L, the feature maps."""
        return len(self.levels)

    @cached_property
    def _length(self) -> int:
        return sum(self.anchors_per_level)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        shapes = self.shapes.detach().split(list(self.shapes_per_level))
        parts = (
            f"stride {level.stride} ({h} x {w} cells): "
            + ", ".join(f"{a:.4g} x {b:.4g}" for a, b in shape.tolist())
            for level, (h, w), shape in zip(self.levels, self.sizes, shapes)
        )
        return f"Grid(image_size={self.image_size}, {len(self)} anchors w x h: {'; '.join(parts)})"

    @property
    def device(self) -> torch.device:
        """Where the shapes, and so the answers, are."""
        return self.shapes.device

    def with_shapes(self, shapes: Tensor) -> Self:
        """The same cells with other ``shapes`` (S, 2); gradients flow to them."""
        out = replace(self, _shapes=shapes)
        for name in ("sizes", "shapes_per_level", "anchors_per_level", "num_shapes"):
            out.__dict__[name] = getattr(self, name)
        same = shapes.device == self.device and shapes.dtype == self.shapes.dtype
        for name in ("rows", "maps", "_kept") if same else ():
            if name in self.__dict__:
                out.__dict__[name] = getattr(self, name)
        return out

    def detach(self) -> Self:
        """The same grid without a graph."""
        return self.with_shapes(self.shapes.detach())

    def to(self, device: torch.device | str) -> Self:
        """The same grid on ``device``."""
        return self.with_shapes(self.shapes.to(device))

    @cached_property
    def rows(self) -> Rows:
        """Geometry per (level, shape), as tensors on the grid's device."""
        table = []
        start = 0
        for i, (level, (h, w), per) in enumerate(
            zip(self.levels, self.sizes, self.shapes_per_level)
        ):
            step, stride = level.steps_in(self.image_size)[::-1], level.strides[::-1]
            for sub in range(per):
                first = (i, sub, per, start, start + sub * h * w, w, h)
                table.append((*first, *step, *stride, level.offset))
            start += h * w * per
        columns = torch.tensor(table, dtype=torch.float64)
        whole = columns[:, :7].long().to(self.device)
        real = columns[:, 7:].to(dtype=self.shapes.dtype, device=self.device)
        start_row = (whole[:, 1] == 0).nonzero()[:, 0]
        extent = max(*self.image_size, float((columns[:, 7:9] * columns[:, 5:7]).amax()))
        level, sub, per, start, major = whole[:, :5].contiguous().t().contiguous().unbind(0)
        return Rows(
            *(level, sub, per, start, major, whole[:, 5:7].contiguous()),
            *(real[:, :2].contiguous(), real[:, 2:4].contiguous(), real[:, 4].contiguous()),
            whole[:, 5].contiguous(),
            *(start + sub, start_row, extent),
        )

    @cached_property
    def maps(self) -> Maps:
        """Geometry per level, as tensors on the grid's device."""
        rows, first = self.rows, self.rows.start_row
        per, cells, step = rows.per[first], rows.cells[first], rows.step[first]
        return Maps(
            start=rows.start[first],
            pitch=torch.stack([per, cells[:, 0] * per], dim=1),
            cells=cells,
            step=step,
            stride=rows.stride[first],
            offset=rows.offset[first, None],
            extent=rows.extent,
            finest=float(step.amin()),
        )

    # -- rows <-> place <-> box

    @property
    def per_image(self) -> int:
        """N, the same for every image."""
        return len(self)

    @property
    def per_level(self) -> tuple[int, ...]:
        """Anchors of every level."""
        return self.anchors_per_level

    def total(self, batch: int) -> int:
        """Rows of a batch of so many images."""
        return batch * len(self)

    def count(self, batch: int) -> Tensor:
        """(B,) rows of every image."""
        return torch.full((batch,), len(self), device=self.device)

    def image_of(self, rows: Tensor) -> Tensor:
        """(P,) image of every row."""
        return rows.div(len(self), rounding_mode="floor")

    def first_of(self, image: Tensor) -> Tensor:
        """(P,) first row of every image (P,)."""
        return image * len(self)

    def local(self, rows: Tensor) -> Tensor:
        """(P,) index within its image."""
        return rows % len(self)

    def row_and_cell(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Row of ``rows``, y and x, (P,) each, of anchors (P,)."""
        index, table = self.local(rows), self.rows
        starts = table.start[table.start_row]
        level = torch.bucketize(index, starts[1:].contiguous(), right=True)
        row, index = pick(table.start_row, level), index - pick(starts, level)
        per = pick(table.per, row)
        cell = index.div(per, rounding_mode="floor")
        sub = index - cell * per
        columns = pick(table.columns, row)
        y = cell.div(columns, rounding_mode="floor")
        return row + sub, y, cell - y * columns

    def place(self, rows: Tensor) -> Place:
        """Level, y, x and shape of anchors (P,)."""
        row, y, x = self.row_and_cell(torch.as_tensor(rows, device=self.device))
        return Place(self.rows.level[row], y, x, self.rows.sub[row])

    def index(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Anchor (P,) of an image at ``row`` of ``rows`` and cell y, x: the inverse of
        ``row_and_cell``."""
        rows = self.rows
        cell = y * pick(rows.columns, row) + x
        return pick(rows.first, row) + cell * pick(rows.per, row)

    @cached_property
    def _kept(self) -> tuple[Tensor, Tensor] | None:
        """(N,) row of ``rows`` and (N, 2) centre of every anchor, kept between calls; None where
        there are too many to keep."""
        if len(self) > KEPT:
            return None
        with torch.inference_mode(False):  # else a later step of training could not use them
            row, y, x = self.row_and_cell(torch.arange(len(self), device=self.device))
            return row, self.centres(row, y, x)

    def centres(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, 2) centres of the cells' anchors, x then y; in memory as of ``pick_boxes``."""
        cell, rows = torch.stack([x, y]).to(self.shapes.dtype), self.rows
        return (cell + pick(rows.offset, row)).T * pick_boxes(rows.step, row)

    def boxes_at(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, 4) boxes at ``row`` and cell y, x; in memory as of ``pick_boxes``."""
        centre, half = self.centres(row, y, x), pick_boxes(self.shapes, row) / 2
        return torch.cat([(centre - half).T, (centre + half).T]).T

    def _standing(self, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Row of ``rows`` (P,) and centre (P, 2) of anchors (P,); of all without them."""
        if self._kept is None:
            every = torch.arange(len(self), device=self.device) if rows is None else rows
            row, y, x = self.row_and_cell(every)
            return row, self.centres(row, y, x)
        if rows is None:
            return self._kept
        index = self.local(rows)
        return pick(self._kept[0], index), pick_boxes(self._kept[1], index)

    def _row(self, rows: Tensor | None) -> Tensor:
        if self._kept is None or rows is None:
            return self._standing(rows)[0]
        return pick(self._kept[0], self.local(rows))

    def boxes(self, rows: Tensor | None = None) -> Tensor:
        """(P, 4) boxes of anchors (P,); the N of an image without them."""
        row, centre = self._standing(rows)
        half = pick(self.shapes, row) / 2
        return torch.cat([centre - half, centre + half], dim=-1)

    def points(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) anchor centres x, y."""
        if self._kept is None or rows is None:
            return self._standing(rows)[1]
        return pick_boxes(self._kept[1], self.local(rows))

    def shape_of(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) width and height, exactly as given: a box's sides are rounded with its place."""
        return pick(self.shapes, self._row(rows))

    def shape_index(self, rows: Tensor) -> Tensor:
        """(P,) row of ``shapes``."""
        return self._row(rows)

    def stride(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) cell size in pixels, x then y."""
        return pick(self.rows.stride, self._row(rows))

    def level(self, rows: Tensor | None = None) -> Tensor:
        """(P,) pyramid level."""
        return pick(self.rows.level, self._row(rows))

    def level_strides(self) -> Tensor:
        """(L, 2) cell size x, y of every level."""
        return self.maps.stride

    def cells(self, rows: Tensor) -> Tensor:
        """(P, 2) columns and rows of the map that an anchor stands on."""
        return pick(self.rows.cells, self._row(rows))

    def pitch(self, rows: Tensor) -> Tensor:
        """(P, 2) by how many rows the next anchor of the same shape to the right, and the next one
        below, is further on."""
        return pick(self.maps.pitch, self.level(rows))

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) IoU of anchor boxes (P, 4) and boxes (P, 4)."""
        return iou(a, b)
