"""Level: one feature map, where its cells are, and the shapes that stand on each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


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
        measured: cells stand ``image_size // size`` pixels apart, as in torchvision: those of a map
            of 13 rows over 800 pixels 61, not 64, which is still the stride.
    """

    stride: float | tuple[float, float]
    shapes: Sequence[tuple[float, float]] | Tensor | None = None
    offset: float = 0.5
    size: tuple[int, int] | None = None
    measured: bool = False

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

    def steps_in(self, image_size: tuple[int, int]) -> tuple[float, float]:
        """(y, x) pixels from cell to cell over an image (H, W)."""
        if not self.measured:
            return self.strides
        rows, columns = self.size_in(image_size)
        return float(image_size[0] // rows), float(image_size[1] // columns)
