"""ByNWD: a grid that measures overlap by the normalised Wasserstein distance (tiny objects)."""

from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.measured import Measured
from kedge.boxes import both_axes, nwd


class ByNWD(Measured):
    """The same anchors, with NWD where a strategy asks for IoU: thresholds, bests and ``iou()``.

    ``MaxIoU(positive=0.7, negative=0.3)(ByNWD(grid), targets)`` is the assigner of the NWD paper;
    any rule that is written over IoU takes it likewise (SSDMatch, ATSS). What is about centres or
    shapes alone stays as it is. NWD is positive everywhere: an object that touches no anchor has a
    best one nevertheless, and a threshold of 0 is refused, as every anchor would pass. Boxes
    without area are compared as well.

    ``constant`` in pixels is the mean size of the data's objects; 12.8 is AI-TOD's.

    Source: Wang et al., arXiv:2110.13389, section 3.3.
    """

    constant: float

    def __init__(self, grid: Grid, constant: float = 12.8) -> None:
        super().__init__(grid, constant=constant)

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) NWD of anchor boxes (P, 4) and boxes (P, 4)."""
        return nwd(a, b, constant=self.constant)

    def reach(self, apart: Tensor, gap: Tensor, side: Tensor, shape: Tensor) -> Tensor:
        """(g, S, 2): a circle, as centres and half sides are ``constant * apart`` from another."""
        del side, shape
        away = self.constant * apart
        square = away * away.abs() - both_axes(gap.square()) / 4
        return square.sqrt()[..., None].expand_as(gap)
