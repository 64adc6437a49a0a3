"""BestShape: cells that overlap an object as much as the best of several shapes there would."""

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.grid import Grid
from kedge.anchors.pairs import Pairs
from kedge.types import Targets


class BestShape(Grid):
    """The cells of a grid, one anchor each, whose IoU with an object is the largest that any shape
    of ``sampled`` has with it in the same cell.

    ``squares`` has one shape a level, ``sampled`` several, equally many on every level, on the same
    cells. A rule over IoU takes it like any grid: ``MaxIoU(positive=0.7, negative=0.3)`` then says
    which cells can hold an anchor for which object, whatever shape they will choose. Boxes, and the
    IoU of pairs that were found by centres, are those of the squares.

    Source: Wang et al., arXiv:1901.03278, section 3.6, eq. 8: vIoU, the largest IoU over all w and
    h, approximated by common ones.
    """

    squares: Grid
    sampled: Grid

    def __init__(self, squares: Grid, sampled: Grid) -> None:
        per = sampled.shapes_per_level
        if len(set(per)) != 1 or squares.sizes != sampled.sizes:
            raise ValueError(
                "BestShape needs the same cells in both grids, and equally many shapes on every "
                f"level: got {per} on cells {sampled.sizes}, squares on {squares.sizes}"
            )
        super().__init__(squares.image_size, squares.levels, squares.shapes)
        for name, value in (("squares", squares), ("sampled", sampled)):
            object.__setattr__(self, name, value)

    @detached
    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair whose best shape has IoU >= ``min_iou`` and > 0; ``among`` as for a Grid."""
        if among is None:
            return self._by_cell(self.sampled.overlapping(targets, min_iou))
        each = self.sampled.shapes_per_level[0]
        rows = (among[:, None] * each + torch.arange(each, device=among.device)).flatten()
        if isinstance(min_iou, Tensor):
            min_iou = min_iou.repeat_interleave(each)
        return self._by_cell(self.sampled.overlapping(targets, min_iou, among=rows))

    @detached
    def best(self, targets: Targets) -> Pairs:
        """For every target the cells whose best shape has the largest IoU, all ties."""
        return self._by_cell(self.sampled.best(targets))

    def _by_cell(self, pairs: Pairs) -> Pairs:
        """Pairs of shapes as pairs of cells, each with its best shape's IoU."""
        total, each = self.total(pairs.targets.batch_size), self.sampled.shapes_per_level[0]
        cell = pairs.anchor.div(each, rounding_mode="floor")  # shapes count fastest
        key, slot = (pairs.target * total + cell).unique(return_inverse=True)
        best = pairs.iou().new_zeros(len(key)).scatter_reduce(0, slot, pairs.iou(), "amax")
        target = key.div(max(total, 1), rounding_mode="floor")
        return Pairs(
            anchors=self, targets=pairs.targets, anchor=key - target * total, target=target,
            _iou=best,
        )  # fmt: skip
