"""Corner pooling: what a corner needs to know of the edges that meet there."""

from typing import Literal

import torch
from torch import Tensor, nn

from kedge.nn.blocks import conv_norm

Side = Literal["left", "top", "right", "bottom"]
CORNERS: dict[str, tuple[Side, Side]] = {
    "top_left": ("top", "left"),
    "bottom_right": ("bottom", "right"),
}


def corner_pool(x: Tensor, side: Side) -> Tensor:
    """(B, C, H, W): at every cell the largest of what lies from there to the far end of the map.

    ``side`` is the object's side that is looked for: its left edge, seen from a corner, is where
    everything to the right of it is ("left": the largest from this column on), its top edge where
    everything is below; "right" and "bottom" look the other way.

    Source: Law and Deng, arXiv:1808.01244, section 3.2.
    """
    axis = 3 if side in ("left", "right") else 2
    if side in ("right", "bottom"):
        return _running_max(x, axis)
    return _running_max(x.flip(axis), axis).flip(axis)


def _running_max(x: Tensor, axis: int) -> Tensor:
    """The largest up to every place; in a graph by doubling, for ONNX has no ``cummax``."""
    return doubled_max(x, axis) if torch.compiler.is_exporting() else torch.cummax(x, axis).values


def doubled_max(x: Tensor, axis: int) -> Tensor:
    """The values of ``cummax`` along an axis of n places, in log2(n) steps."""
    step, size = 1, x.shape[axis]
    while step < size:
        before, here = x.narrow(axis, 0, size - step), x.narrow(axis, step, size - step)
        x = torch.cat([x.narrow(axis, 0, step), torch.maximum(before, here)], axis)
        step *= 2
    return x


class CornerPool(nn.Module):
    """The block before the outputs of a ``corner``: features pooled along both of its edges, beside
    those that are not pooled. (B, width, H, W) to the same; ``inner`` channels are pooled.

    Source: Law and Deng, arXiv:1808.01244, section 3.2 and figure 7.
    """

    def __init__(self, width: int, corner: str, inner: int = 128) -> None:
        super().__init__()
        self.sides = CORNERS[corner]
        self.edges = nn.ModuleList(conv_norm(width, inner) for _ in self.sides)
        self.pooled = conv_norm(inner, width, relu=False)
        self.beside = conv_norm(width, width, kernel=1, relu=False)
        self.after = conv_norm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        one, two = (corner_pool(conv(x), side) for conv, side in zip(self.edges, self.sides))
        return self.after((self.pooled(one + two) + self.beside(x)).relu())
