"""BySimD: a grid that measures overlap by the similarity distance (tiny objects)."""

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.measured import Measured
from kedge.boxes import simd


class BySimD(Measured):
    """The same anchors, with SimD where a strategy asks for IoU: thresholds, bests and ``iou()``.

    ``MaxIoU(measure="simd")`` says it by name; as for `ByNWD`, any rule that is written over IoU
    takes it. Distances are relative to the sides of anchor and object together, so that no constant
    of the data's object size is needed.

    ``m`` and ``n`` weigh the horizontal and the vertical distance. The released values, 6.13 and
    4.59, are those of AI-TOD; the paper derives them from the data.

    Source: Shi et al., arXiv:2407.02394, and the released code's constants.
    """

    m: float
    n: float

    def __init__(self, grid: Grid, m: float = 6.13, n: float = 4.59) -> None:
        super().__init__(grid, m=m, n=n)

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) SimD of anchor boxes (P, 4) and boxes (P, 4)."""
        return simd(a, b, m=self.m, n=self.n)

    def reach(self, apart: Tensor, gap: Tensor, side: Tensor, shape: Tensor) -> Tensor:
        """(g, S, 2): an ellipse; what the shapes' difference leaves, in units of both sides."""
        unit = (side + shape) / side.new_tensor([self.m, self.n])
        left = apart - torch.linalg.vector_norm(gap / unit, dim=-1)
        return left[..., None] * unit
