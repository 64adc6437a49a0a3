"""ByGCD: a grid that measures overlap by the Gaussian combined distance (tiny objects)."""

from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.measured import Measured
from kedge.boxes import SMALLEST_SIDE, both_axes, gcd


class ByGCD(Measured):
    """The same anchors, with GCD where a strategy asks for IoU: thresholds, bests and ``iou()``.

    ``MaxIoU(measure="gcd")`` says it by name; as for `ByNWD`, any rule that is written over IoU
    takes it. Distances are relative to the sides of anchor and object, each in turn: the measure is
    symmetric and does not change with scale. An object without width or height is similar to
    nothing.

    Source: Guan et al., arXiv:2510.27649, as in the released code (mmdet-GCD).
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) GCD of anchor boxes (P, 4) and boxes (P, 4)."""
        return gcd(a, b)

    def reach(self, apart: Tensor, gap: Tensor, side: Tensor, shape: Tensor) -> Tensor:
        """(g, S, 2): an ellipse, of what the shapes' difference leaves of the squared distance."""
        side = side.clamp(min=SMALLEST_SIDE)
        close = (1 / side.square() + 1 / shape.square()) / 2
        left = apart * apart.abs() - both_axes(gap.square() * close) / 4
        return (left[..., None] / close).sqrt()
