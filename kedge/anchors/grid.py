"""Grid: anchors on the cells of a feature pyramid, with boxes on demand.

A grid never stores its boxes. An anchor is a number; its level, cell and shape follow by division,
and its box from those. The pair queries (``windows``, ``places``) find the few anchors that
matter to an object in closed form."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from kedge.anchors import places, windows
from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import pick
from kedge.types import Targets


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """One feature map: where its cells are, and the anchor shapes that stand on each.

    Attributes:
        stride: step of a cell in pixels; a pair is (y, x).
        shapes: anchor shapes (w, h) in pixels, a list or an (A, 2) tensor. None: anchor points,
            kept as one box of the stride's size, so that points and boxes share every query.
        offset: where in its cell an anchor's centre lies; 0.5 is the middle, 0 the corner
            (torchvision, Detectron2).
        size: (rows, columns) of the feature map; ``ceil(image_size / stride)`` by default.
    """

    stride: float | tuple[float, float]
    shapes: Sequence[tuple[float, float]] | Tensor | None = None
    offset: float = 0.5
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(self.strides) <= 0:
            raise ValueError(f"Level.stride must be positive, got {self.stride}")
        shapes = self.shapes_tensor()
        if shapes.ndim != 2 or shapes.shape[1] != 2 or len(shapes) == 0:
            raise ValueError(
                f"Level(stride={self.stride}).shapes must be one or more (w, h) pairs in pixels, "
                f"got a tensor of shape {tuple(shapes.shape)}"
            )
        # detached: a learned shape stays in the graph through Grid, not through this check
        if not bool((torch.isfinite(shapes) & (shapes > 0)).all()):
            raise ValueError(
                f"Level(stride={self.stride}).shapes must be positive and finite, "
                f"got {shapes.tolist()}"
            )

    @property
    def strides(self) -> tuple[float, float]:
        """(y, x) step of a cell in pixels."""
        return self.stride if isinstance(self.stride, tuple) else (self.stride, self.stride)

    def shapes_tensor(self) -> Tensor:
        """(A, 2) shapes w, h."""
        if self.shapes is None:
            return torch.tensor([[float(self.strides[1]), float(self.strides[0])]])
        if isinstance(self.shapes, Tensor):
            return self.shapes
        return torch.tensor([list(map(float, shape)) for shape in self.shapes])

    def size_in(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the feature map of an image (H, W)."""
        if self.size is not None:
            return self.size
        rows, columns = (math.ceil(i / s) for i, s in zip(image_size, self.strides))
        return rows, columns


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
    stride: Tensor  # (S, 2) x, y in the grid's dtype
    offset: Tensor  # (S,)
    columns: Tensor  # (S,) cells[:, 0]
    first: Tensor  # (S,) anchor of this row at its level's first cell
    start_row: Tensor  # (L,) first row of every level
    extent: Tensor  # () the farthest coordinate of the image or of a cell


@dataclass(frozen=True, eq=False)
class Grid:
    """Anchors of a feature pyramid over one image size.

    ``Grid(image_size=(H, W), levels=[Level(stride=8, shapes=[(w, h), ...]), ...])``. Index order is
    level, then y, then x, then shape. Boxes are differentiable in the shapes (pass tensors, or use
    ``with_shapes``).

    Errors: ``ValueError`` for an empty pyramid, an image without area, or levels on several
    devices."""

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

    @cached_property
    def shapes(self) -> Tensor:
        """(S, 2) shapes w, h of all levels, stacked in index order."""
        if self._shapes is not None:
            return self._shapes
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

    def with_shapes(self, shapes: Tensor) -> "Grid":
        """The same cells with other ``shapes`` (S, 2); gradients flow to them."""
        out = replace(self, _shapes=shapes)
        for name in ("sizes", "shapes_per_level", "anchors_per_level", "num_shapes"):
            out.__dict__[name] = getattr(self, name)
        same = shapes.device == self.device and shapes.dtype == self.shapes.dtype
        if same and "rows" in self.__dict__:
            out.__dict__["rows"] = self.rows
        return out

    def detach(self) -> "Grid":
        """The same grid without a graph."""
        return self.with_shapes(self.shapes.detach())

    def to(self, device: torch.device | str) -> "Grid":
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
            sy, sx = level.strides
            for sub in range(per):
                table.append((i, sub, per, start, start + sub * h * w, w, h, sx, sy, level.offset))
            start += h * w * per
        columns = torch.tensor(table, dtype=torch.float64)
        whole = columns[:, :7].long().to(self.device)
        real = columns[:, 7:].to(dtype=self.shapes.dtype, device=self.device)
        start_row = (whole[:, 1] == 0).nonzero()[:, 0]
        extent = (real[:, :2] * whole[:, 5:7]).amax().clamp(min=max(self.image_size))
        level, sub, per, start, major = whole[:, :5].contiguous().t().contiguous().unbind(0)
        return Rows(
            *(level, sub, per, start, major, whole[:, 5:7].contiguous()),
            *(real[:, :2].contiguous(), real[:, 2].contiguous(), whole[:, 5].contiguous()),
            *(start + sub, start_row, extent),
        )

    # -- index <-> place <-> box

    def local(self, flat: Tensor) -> Tensor:
        """Index (P,) within one image of flat ids (P,): the grid is the same for every image."""
        return flat % len(self)

    def row_and_cell(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Row of ``rows``, y and x, (P,) each, of anchors (P,)."""
        rows = self.rows
        starts = rows.start[rows.start_row]
        level = torch.bucketize(index, starts[1:].contiguous(), right=True)
        row, index = pick(rows.start_row, level), index - pick(starts, level)
        per = pick(rows.per, row)
        cell = index.div(per, rounding_mode="floor")
        sub = index - cell * per
        columns = pick(rows.columns, row)
        y = cell.div(columns, rounding_mode="floor")
        return row + sub, y, cell - y * columns

    def place(self, index: Tensor) -> Place:
        """Level, y, x and shape of anchors (P,)."""
        row, y, x = self.row_and_cell(torch.as_tensor(index, device=self.device))
        return Place(self.rows.level[row], y, x, self.rows.sub[row])

    def index(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Anchor (P,) at ``row`` of ``rows`` and cell y, x: the inverse of ``row_and_cell``."""
        rows = self.rows
        cell = y * pick(rows.columns, row) + x
        return pick(rows.first, row) + cell * pick(rows.per, row)

    def centres(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, 2) centres of the cells' anchors, x then y."""
        cell = torch.stack([x, y], dim=-1).to(self.shapes.dtype)
        rows = self.rows
        return (cell + pick(rows.offset, row)[..., None]) * pick(rows.stride, row)

    def boxes_at(self, row: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, 4) boxes at ``row`` and cell y, x."""
        centre, half = self.centres(row, y, x), pick(self.shapes, row) / 2
        return torch.cat([centre - half, centre + half], dim=-1)

    def _index(self, index: Tensor | None) -> Tensor:
        return torch.arange(len(self), device=self.device) if index is None else index

    def boxes(self, index: Tensor | None = None) -> Tensor:
        """(P, 4) boxes of anchors (P,); all (N, 4) without an index."""
        return self.boxes_at(*self.row_and_cell(self._index(index)))

    def points(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) anchor centres x, y; all (N, 2) without an index."""
        return self.centres(*self.row_and_cell(self._index(index)))

    def shape_of(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) width and height, exactly as given: a box's sides are rounded with its place."""
        return pick(self.shapes, self.row_and_cell(self._index(index))[0])

    def stride(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) cell size in pixels, x then y."""
        return self.rows.stride[self.row_and_cell(self._index(index))[0]]

    def level(self, index: Tensor | None = None) -> Tensor:
        """(P,) pyramid level."""
        return self.rows.level[self.row_and_cell(self._index(index))[0]]

    # -- pair queries: exact, batched, in closed form

    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair with IoU >= ``min_iou`` and > 0.

        Only anchors of flat ids ``among`` (Q,) if given; ``min_iou`` may then be (Q,), one for
        each.
        """
        return windows.overlapping(self, targets, min_iou, among)

    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""
        return windows.best(self, targets)

    def inside(self, targets: Targets, region: Tensor | None = None, margin: float = 0.0) -> Pairs:
        """Pairs whose anchor centre is inside the target, or ``region`` (G, 4) or (G, L, 4)."""
        return places.inside(self, targets, region, margin)

    def nearest(self, targets: Targets, k: int) -> Pairs:
        """The anchors of the ``k`` nearest cells on every level."""
        return places.nearest(self, targets, k)

    def closest(self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        A measure of boxes (P, 4) that falls as an anchor's centre moves away from the target's
        along either axis: a distance of centres and sizes, or of the boxes as Gaussians.
        """
        return places.closest(self, targets, k, by)

    def in_cell(self, targets: Targets) -> Pairs:
        """The anchors of the cell that holds the target's centre, on every level."""
        return places.in_cell(self, targets)

    def covered(self, targets: Targets, min_iof: float = 0.5) -> Tensor:
        """Flat ids, unique, of the anchors that a crowd covers by ``min_iof`` of their area."""
        return windows.covered(self, targets, min_iof)
