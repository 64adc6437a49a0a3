"""Weighted boxes: what every objective of anchor design looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kedge.design.sketch import Sketch, as_array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Boxes of size ``w``, ``h`` (n,), each counted ``weight`` (n,) times; all float32.

    ``cx``, ``cy`` (n,) are the centres in pixels of the network's input; None where only shapes
    matter (everything but placed recall).
    """

    w: Tensor
    h: Tensor
    weight: Tensor
    cx: Tensor | None = None
    cy: Tensor | None = None

    def __len__(self) -> int:
        return len(self.w)

    @property
    def wh(self) -> Tensor:
        """(n, 2) sizes."""
        return torch.stack([self.w, self.h], 1)

    def __getitem__(self, index: Tensor | slice) -> "Points":
        def part(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[index]

        return Points(
            w=self.w[index],
            h=self.h[index],
            weight=self.weight[index],
            cx=part(self.cx),
            cy=part(self.cy),
        )

    @staticmethod
    def of_sketch(sketch: Sketch, bins_per_octave: int) -> "Points":
        """The mean box of every bin of a sketch, with the bin's count as weight."""
        wh, weight = sketch.points(bins_per_octave)
        return Points(w=wh[:, 0].contiguous(), h=wh[:, 1].contiguous(), weight=weight)

    @staticmethod
    def of(wh: Any, weight: Any = None, centres: Any = None) -> "Points":
        """Points of boxes ``wh`` (n, 2); rows that are not positive and finite are left out."""
        sizes = torch.as_tensor(as_array(wh)).float().reshape(-1, 2)
        count = torch.ones(len(sizes))
        if weight is not None:
            count = torch.as_tensor(as_array(weight)).float()
        good = (torch.isfinite(sizes) & (sizes > 0)).all(1)
        cx = cy = None
        if centres is not None:
            middle = torch.as_tensor(as_array(centres)).float().reshape(-1, 2)[good]
            cx, cy = middle[:, 0].contiguous(), middle[:, 1].contiguous()
        sizes = sizes[good]
        return Points(
            w=sizes[:, 0].contiguous(),
            h=sizes[:, 1].contiguous(),
            weight=count[good],
            cx=cx,
            cy=cy,
        )


def shapes_tensor(shapes: Any, name: str = "shapes") -> Tensor:
    """(k, 2) float32 of any (w, h) array; ``ValueError`` unless positive and finite."""
    if isinstance(shapes, Sequence) and len(shapes) == 0:
        raise ValueError(f"{name}: expected at least one (w, h)")
    result = torch.as_tensor(as_array(shapes)).float()
    if result.ndim != 2 or result.shape[1] != 2 or len(result) == 0:
        raise ValueError(f"{name}: expected (k, 2) widths and heights, got {tuple(result.shape)}")
    if not bool((torch.isfinite(result) & (result > 0)).all()):
        raise ValueError(f"{name}: widths and heights must be positive and finite")
    return result


def distinct(boxes: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The different sizes (d, 2), in order of width then height, and the weight of each."""
    packed = boxes[:, 0].contiguous().view(torch.int32).long() << 32
    packed |= boxes[:, 1].contiguous().view(torch.int32).long()
    _, index = torch.unique(packed, return_inverse=True)
    total = torch.zeros(int(index.max()) + 1, dtype=torch.float64)
    sizes = torch.empty(len(total), 2)
    sizes[index] = boxes
    return sizes, total.scatter_add_(0, index, count.double()).float()
