"""Boxes: anchors that stand on no grid, such as proposals, refined or guided anchors."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from kedge.anchors.box_list import BoxList
from kedge.anchors.detached import detached
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries import bags, table
from kedge.anchors.queries.columns import padded
from kedge.anchors.queries.join import blocks, overlapping_boxes, points_in_windows, spread
from kedge.anchors.queries.table import Table, fits
from kedge.anchors.segments import rank
from kedge.boxes import both_axes, centres, holds, iof
from kedge.rows import pick
from kedge.types import Targets


def _nearness(a: Tensor, b: Tensor) -> Tensor:
    """(P,) minus the squared distance of two boxes' centres, in double precision."""
    return -both_axes((centres(a).double() - centres(b.double())).square())


class Boxes(BoxList):
    """A list of anchor boxes: one for all images, or any number of its own for each.

    ``Boxes(boxes)`` with (N, 4) serves every image of a batch, with (B, N, 4) each image has its N;
    ``Boxes(boxes, image, batch_size=B)`` packs (M, 4) boxes of image (M,) ascending, any number an
    image: rows of the batch as they stand. See also ``from_list`` and ``from_detections``.

    It answers the same pair queries as ``Grid``, by spatial joins instead of a closed form, and has
    no cells. ``nearest`` compares every object with all anchors of its image, in blocks. Where the
    boxes came from a grid, ``strides`` (M, 2), ``levels`` (M,) with their ``num_levels`` and the
    ``image_size`` (H, W) say so; otherwise there is one level, a box's own size stands in for the
    stride, and the image's size is not known.

    Errors: ``ValueError`` for other shapes, boxes that are not finite, images out of order or
    outside the batch, and for targets of another number of images.
    """

    def _table(self, targets: Targets) -> Table | None:
        """All pairs, where they are few."""
        self.total(targets.batch_size)
        if self.image is None:
            return Table(self.anchor_boxes, targets) if fits(len(self), targets) else None
        if not fits(self._widest, targets):
            return None
        boxes, rows = self._padded
        return Table(boxes, targets, rows)

    @cached_property
    def _widest(self) -> int:
        """The most boxes that an image has."""
        if self.per_image is not None:
            return self.per_image
        return int(self.count(self.batch_size).max()) if self.batch_size else 0

    @cached_property
    def _padded(self) -> tuple[Tensor, Tensor | None]:
        """(B, W, 4) the boxes of every image, and (B * W,) their rows; None: as they stand."""
        boxes, batch, width = self.anchor_boxes.detach(), self.batch_size, self._widest
        assert batch is not None
        if self.per_image is not None:
            return boxes.view(batch, width, 4), None
        return padded(boxes, self.count(batch), width)

    def _images(self, targets: Targets, rows: Tensor) -> tuple[Tensor, Tensor, int]:
        """Images of the list (M,) and of targets ``rows``, in one numbering, and how many it has:
        one where the list is shared."""
        self.total(targets.batch_size)
        image = targets.image[rows]
        if self.image is None:
            none = torch.zeros(len(self), dtype=torch.int64, device=self.anchor_boxes.device)
            return none, torch.zeros_like(image), 1
        return self.image, image, targets.batch_size

    def _pairs(self, targets: Targets, found: list[tuple[Tensor, Tensor]]) -> Pairs:
        """From blocks of (target, place in the list), ordered by target, then anchor."""
        empty = torch.zeros(0, dtype=torch.int64, device=self.anchor_boxes.device)
        target = torch.cat([t for t, _ in found] or [empty])
        row = torch.cat([r for _, r in found] or [empty])
        row = row + targets.image[target] * len(self) if self.shared else row
        order = torch.argsort(row, stable=True)
        order = order[torch.argsort(target[order], stable=True)]
        return Pairs(anchors=self, targets=targets, anchor=row[order], target=target[order])

    def _overlap(
        self, targets: Targets, ids: Tensor, min_iou: float
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        mine, asked, images = self._images(targets, ids)
        boxes = self.anchor_boxes.detach()
        for i, j, value in overlapping_boxes(
            targets.boxes[ids], asked, boxes, mine, images, min_iou
        ):
            yield ids[i], j, value

    @detached
    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair with IoU >= ``min_iou`` and > 0.

        Only anchors of rows ``among`` (Q,) if given; ``min_iou`` may then be (Q,), one for each.
        """
        few = self._table(targets)
        if few is not None and (among is not None or not isinstance(min_iou, Tensor)):
            return table.overlapping(self, few, min_iou, among)
        if among is not None:
            return self._overlapping_among(targets, min_iou, among)
        if isinstance(min_iou, Tensor):
            raise ValueError("min_iou may be a tensor only with `among`: one for each anchor")
        return self._pairs(
            targets, [(t, r) for t, r, _ in self._overlap(targets, targets.real, min_iou)]
        )

    def _overlapping_among(self, targets: Targets, min_iou: float | Tensor, among: Tensor) -> Pairs:
        self.total(targets.batch_size)
        floor = torch.as_tensor(min_iou, device=among.device).expand(len(among))
        ids = targets.real
        found = []
        for i, j, value in overlapping_boxes(
            targets.boxes[ids],
            targets.image[ids],
            self.boxes(among).detach(),
            self.image_of(among),
            targets.batch_size,
            float(floor.amin()) if len(floor) else 0.0,
        ):
            enough = value >= floor[j]
            found.append((ids[i[enough]], self.place(among[j[enough]])))
        return self._pairs(targets, found)

    @detached
    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""
        few = self._table(targets)
        if few is not None:
            return table.best(self, few)
        top = targets.boxes.new_zeros(len(targets)).to(
            torch.promote_types(targets.boxes.dtype, self.anchor_boxes.dtype)
        )
        found = []
        for target, row, value in self._overlap(targets, targets.real, 0.0):
            top = top.scatter_reduce(0, target, value.to(top.dtype), "amax")
            tied = value == top[target]  # later blocks can still raise the maximum
            found.append((target[tied], row[tied], value[tied]))
        return self._pairs(targets, [(t[v == top[t]], r[v == top[t]]) for t, r, v in found])

    def most_overlapping(self, targets: Targets, k: int) -> Pairs:
        """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""
        return bags.most_overlapping(self, targets, k, self._table(targets))

    @detached
    def inside(self, targets: Targets, region: Tensor | None = None, margin: float = 0.0) -> Pairs:
        """Pairs whose anchor centre is inside the target, or ``region`` (G, 4) or (G, L, 4)."""
        box = targets.boxes if region is None else region
        whole, layered = (len(targets), 4), (len(targets), self.num_levels, 4)
        if box.shape not in (whole, layered):
            raise ValueError(f"region must be {whole} or {layered}, got {tuple(box.shape)}")
        ids = targets.real
        if box.ndim == 2:
            return self._pairs(targets, self._in_windows(targets, ids, box, margin, None))
        found = []
        for number in range(self.num_levels):
            found += self._in_windows(targets, ids, box[:, number], margin, number)
        return self._pairs(targets, found)

    def _in_windows(
        self, targets: Targets, ids: Tensor, box: Tensor, margin: float, level: int | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Blocks of (target, place) of the points of a level (None: all) in windows (G, 4)."""
        mine, asked, images = self._images(targets, ids)
        points = self.points().detach()
        on = None if level is None or self.levels is None else self.levels == level
        slack = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=box.device) * 1e-3
        found = []
        for i, row in points_in_windows(points, mine, box[ids] + slack, asked, images):
            keep = holds(pick(box, pick(ids, i)), pick(points, row), margin)
            keep = keep if on is None else keep & on[row]
            found.append((ids[i[keep]], row[keep]))
        return found

    def nearest(self, targets: Targets, k: int) -> Pairs:
        """The ``k`` anchors of every level with the nearest centres; equal distances: the lower
        anchor first."""
        return self._closest(targets, k, _nearness, by_level=True)

    def closest(self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        Equal values: the lower anchor first.
        """
        return self._closest(targets, k, by, by_level=False)

    @detached
    def _closest(
        self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor], by_level: bool
    ) -> Pairs:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        ids = targets.real
        count = self.count(targets.batch_size)
        first = torch.zeros_like(count) if self.shared else count.cumsum(0) - count
        level = self.level() if by_level and self.num_levels > 1 else None
        own, start = count[targets.image[ids]], first[targets.image[ids]]
        found = []
        for part, items in blocks(own) if len(ids) and len(self) else ():
            g, step = spread(own[part], items)
            row, target = start[part][g] + step, ids[part][g]
            value = by(self.anchor_boxes[row].detach(), targets.boxes[target])
            segment = g if level is None else g * self.num_levels + level[row]
            keep = rank(value, segment, largest=True) < k
            found.append((target[keep], row[keep]))
        return self._pairs(targets, found)

    def in_cell(self, targets: Targets) -> Pairs:
        """A list has no cells: ``ValueError``."""
        raise self.no_cells()

    @detached
    def covered(self, targets: Targets, min_iof: float = 0.5) -> Tensor:
        """Rows, unique, of the anchors that a crowd covers by ``min_iof`` of their area."""
        if min_iof <= 0:
            raise ValueError(f"min_iof must be positive, got {min_iof}")
        found = []
        for target, row, _ in self._overlap(targets, targets.crowds, 0.0):
            share = iof(self.anchor_boxes[row].detach(), targets.boxes[target])
            found.append((target[share >= min_iof], row[share >= min_iof]))
        return self._pairs(targets, found).anchor.unique()


Free = Boxes
