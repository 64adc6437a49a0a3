"""Placed recall: does an object get a positive on the real grid, not only centre-aligned?

An anchor's overlap with an object is a product of one number per column and one per row, and each
falls with the distance of the centres. So over all cells of a level the best IoU of a shape with
an object is reached at the cell nearest to the object's centre: one division per object, shape and
axis, no cell is visited (DESIGN, "the algorithm everything rests on").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kedge.boxes import side_overlap
from kedge.design.objectives import TIE
from kedge.design.points import Points


class Floor(NamedTuple):
    """One feature map as far as placing goes: stride, rows, columns, and where in a cell centres
    lie.
    """

    stride: float
    rows: int
    columns: int
    offset: float = 0.5


def floors(
    strides: Sequence[float], image_size: tuple[int, int], offset: float = 0.5
) -> tuple[Floor, ...]:
    """The feature maps of an input (H, W), ``ceil(size / stride)`` cells a side, as in ``Grid``."""
    if not strides or min(strides) <= 0:
        raise ValueError(f"strides: expected one or more positive numbers, got {tuple(strides)}")
    if min(image_size) <= 0:
        raise ValueError(f"image_size: expected positive (H, W), got {tuple(image_size)}")
    height, width = image_size
    return tuple(
        Floor(float(s), math.ceil(height / s), math.ceil(width / s), offset) for s in strides
    )


def _overlap(
    centre: Tensor, side: Tensor, anchor: Tensor, stride: Tensor, offset: Tensor, cells: Tensor
) -> Tensor:
    """Largest overlap in pixels, along one axis, of an object with an anchor over all cells."""
    nearest = (centre / stride - offset).round()
    nearest = torch.minimum(nearest.clamp(min=0), cells - 1)
    distance = (centre - (nearest + offset) * stride).abs()
    return side_overlap(side, anchor, distance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """Share of objects whose best IoU over all anchors of the grid reaches ``threshold``.

    ``level[i]`` says on which of ``floors`` shape i stands. Needs points with centres; see
    ``scatter`` where there are none. Anchors beyond the border count, as in ``Grid``.
    """

    floors: tuple[Floor, ...]
    level: Tensor
    threshold: float = 0.5
    name: str = "placed"

    def similarity(self, points: Points, w: Tensor, h: Tensor, shape: Tensor | int) -> Tensor:
        """Best IoU of every object with the shapes over all the cells of their levels."""
        if points.cx is None or points.cy is None:
            raise ValueError("placed recall needs the centres of the boxes: pass centres=")
        table = torch.tensor([[f.stride, f.offset, f.columns, f.rows] for f in self.floors])
        stride, offset, columns, rows = table[self.level[shape]].unbind(-1)
        across = _overlap(points.cx, points.w, w, stride, offset, columns)
        down = _overlap(points.cy, points.h, h, stride, offset, rows)
        overlap = across * down
        return overlap / (points.w * points.h + w * h - overlap)

    def worth(self, best: Tensor) -> Tensor:
        return (best >= self.threshold).float()

    def score(self, best: Tensor) -> Tensor:
        return self.worth(best) + TIE * best

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        return torch.sigmoid((best - self.threshold) / (0.2 * temperature)) + TIE * best

    def on(self, level: Tensor) -> "Placed":
        """The same with shapes on other levels."""
        return replace(self, level=level)


def scatter(points: Points, image_size: tuple[int, int], copies: int = 1) -> Points:
    """Points with centres, where only sizes are known: spread evenly over the places inside the
    image.

    Each point becomes ``copies`` points of that share of its weight. The places follow an additive
    recurrence, so the result is the same at every call. A box larger than the image stands in its
    middle.

    Source: Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018 (R2).
    """
    n = len(points) * copies
    number = torch.arange(1, n + 1, dtype=torch.float64)
    across, down = (number * 0.7548776662466927) % 1, (number * 0.5698402909980532) % 1
    w, h = points.w.repeat_interleave(copies), points.h.repeat_interleave(copies)
    height, width = image_size
    free_x, free_y = (width - w).clamp(min=0), (height - h).clamp(min=0)
    return Points(
        w=w,
        h=h,
        weight=points.weight.repeat_interleave(copies) / copies,
        cx=(width - free_x) / 2 + across.float() * free_x,
        cy=(height - free_y) / 2 + down.float() * free_y,
    )
