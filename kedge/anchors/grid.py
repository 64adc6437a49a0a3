"""Grid: the anchors of a feature pyramid, and the pair queries on them.

The queries find the few anchors that can matter to an object in closed form."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from kedge.anchors.layout import Layout
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries import bags, centre, overlap, table
from kedge.anchors.queries.columns import sides_of
from kedge.types import Targets


class Grid(Layout):
    """Anchors of a feature pyramid over one image size, the same for every image of a batch.

    ``Grid(image_size=(H, W), levels=[Level(stride=8, shapes=[(w, h), ...]), ...])``. Index order is
    level, then y, then x, then shape. Boxes are differentiable in the shapes (pass tensors, or use
    ``with_shapes``). Every query is exact and takes a whole batch; beyond a small table of all
    pairs, work and memory grow with the pairs that it returns, never with anchors x objects.

    Errors: ``ValueError`` for an empty pyramid, an image without area, or levels on several
    devices."""

    def _table(
        self, targets: Targets, cost: int, measure: table.Measure | None = None
    ) -> table.Table | None:
        """All pairs, where they are few; ``cost`` as in ``table.fits``, ``measure`` as there."""
        if not table.fits(len(self), targets, cost):
            return None
        boxes, sides = self._every_box
        return table.Table(boxes, targets, sides=sides, measure=measure)

    @cached_property
    def _every_box(self) -> tuple[Tensor, Tensor]:
        """(N, 4) the boxes of an image, and ``columns.sides_of`` them."""
        boxes = self.boxes().detach()
        return boxes, sides_of(boxes, torch.promote_types(boxes.dtype, torch.float32))

    @cached_property
    def measured(self) -> dict[str, "Grid"]:
        """The same anchors by other measures, once they have been asked for: with their tables."""
        return {}

    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair with IoU >= ``min_iou`` and > 0.

        ``min_iou`` may be (G, 1), one for each object. Only anchors of rows ``among`` (Q,) if
        given; ``min_iou`` may then be (Q,), one for each.
        """
        few = self._table(targets, 8)
        if few is not None:
            return table.overlapping(self, few, min_iou, among)
        return overlap.overlapping(self, targets, min_iou, among)

    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""
        few = self._table(targets, 8)
        return overlap.best(self, targets) if few is None else table.best(self, few)

    def most_overlapping(self, targets: Targets, k: int) -> Pairs:
        """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""
        centre.at_least_one(k)
        few = self._table(targets, 2)
        if few is None:
            return bags.most_overlapping_of_grid(self, targets, k)
        return bags.most_overlapping(self, targets, k, few)

    def inside(self, targets: Targets, region: Tensor | None = None, margin: float = 0.0) -> Pairs:
        """Pairs whose anchor centre is inside the target, or ``region`` (G, 4) or (G, L, 4)."""
        area = centre.region_of(self, targets, region)
        few = self._table(targets, 12)
        if few is not None:
            return table.inside(self, few, area, margin)
        return centre.inside(self, targets, area, margin)

    def nearest(self, targets: Targets, k: int) -> Pairs:
        """The anchors of the ``k`` nearest cells on every level."""
        centre.at_least_one(k)
        return centre.nearest(self, targets, k)

    def closest(self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        A measure of boxes (..., 4), whose leading dimensions broadcast, that falls as an anchor's
        centre moves away from the target's along either axis: a distance of centres and sizes, or
        of the boxes as Gaussians.
        """
        centre.at_least_one(k)
        few = self._table(targets, 32)
        if few is not None:
            return table.closest(self, few, k, by)
        return centre.closest(self, targets, k, by)

    def in_cell(self, targets: Targets) -> Pairs:
        """The anchors of the cell that holds the target's centre, on every level."""
        return centre.in_cell(self, targets)

    def covered(self, targets: Targets, min_iof: float = 0.5) -> Tensor:
        """Flat ids, unique, of the anchors that a crowd covers by ``min_iof`` of their area."""
        return overlap.covered(self, targets, min_iof)
