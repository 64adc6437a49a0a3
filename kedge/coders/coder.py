"""What every box coder shares. The contract is `kedge.types.Coder`.

Boxes are ``xyxy`` in pixels; row p of every argument belongs to the same pair; P may be 0. Results
are at least float32, also under autocast. ``stride`` is (sx, sy) in pixels; a coder that needs it
raises ValueError without it. ``code_size`` is the number of outputs per anchor that a head must
predict.
"""

import torch
from torch import Tensor

SMALLEST_SIDE = 1e-6
"""Pixels. Sides of anchors and targets are raised to this before a division or a logarithm, so that
zero-size boxes give finite codes and finite (zero) gradients instead of inf and NaN."""


def require_stride(stride: Tensor | None, coder: object) -> Tensor:
    """The stride, or a ValueError that says which argument is missing and where to take it from."""
    if stride is None:
        raise ValueError(
            f"{type(coder).__name__} needs the argument `stride` (P, 2), the cell size in pixels "
            "of every pair's level: pass Pairs.stride() or Grid.stride(index)."
        )
    return stride


def from_centre(centre: Tensor, size: Tensor) -> Tensor:
    """``xyxy`` boxes (P, 4) from centres (P, 2) and sizes (P, 2)."""
    half = size / 2
    return torch.cat((centre - half, centre + half), dim=-1)
