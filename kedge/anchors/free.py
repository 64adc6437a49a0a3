"""Free: anchors that stand on no grid, such as proposals, refined or guided anchors."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.anchors.join import blocks, overlapping_boxes, points_in_windows
from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import rank
from kedge.boxes import centres, iof, sizes
from kedge.types import Targets


def _nearness(a: Tensor, b: Tensor) -> Tensor:
    """(P,) minus the squared distance of two boxes' centres, in double precision."""
    return -(centres(a).double() - centres(b.double())).square().sum(-1)


@dataclass(frozen=True, eq=False)
class Free:
    """An unstructured list of anchor boxes: (N, 4) the same for every image, or (B, N, 4) one list
    each.

    It answers the same pair queries as ``Grid``, by spatial joins instead of a closed form. It has
    one level, and a box's own size stands in for the stride. ``nearest`` compares every object with
    all anchors of its image, in blocks.

    Errors: ``ValueError`` for another shape or for boxes that are not finite.
    """

    anchor_boxes: Tensor

    def __post_init__(self) -> None:
        if self.anchor_boxes.ndim not in (2, 3) or self.anchor_boxes.shape[-1] != 4:
            raise ValueError(
                f"Free takes boxes (N, 4) or (B, N, 4) xyxy, got {tuple(self.anchor_boxes.shape)}"
            )
        if not bool(torch.isfinite(self.anchor_boxes.detach()).all()):
            row = int(
                (~torch.isfinite(self.anchor_boxes.detach()).reshape(-1, 4).all(1)).nonzero()[0]
            )
            raise ValueError(f"Free: anchor box {row} is NaN or infinite")

    def __len__(self) -> int:
        return self.anchor_boxes.shape[-2]

    @property
    def shared(self) -> bool:
        """Whether all images have the same boxes."""
        return self.anchor_boxes.ndim == 2

    @property
    def num_levels(self) -> int:
        """1: a list has no pyramid."""
        return 1

    def local(self, flat: Tensor) -> Tensor:
        """Row of the list for flat ids (P,)."""
        return flat % max(len(self), 1) if self.shared else flat

    def boxes(self, index: Tensor | None = None) -> Tensor:
        """(P, 4) boxes of ``local`` rows (P,); all of them without an index."""
        boxes = self.anchor_boxes.reshape(-1, 4)
        return boxes if index is None else boxes[index]

    def points(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) centres x, y."""
        return centres(self.boxes(index))

    def shape_of(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) width and height."""
        return sizes(self.boxes(index))

    def stride(self, index: Tensor | None = None) -> Tensor:
        """(P, 2) the boxes' own width and height."""
        return self.shape_of(index)

    def level(self, index: Tensor | None = None) -> Tensor:
        """(P,) zeros."""
        rows = len(self.boxes()) if index is None else len(index)
        return torch.zeros(rows, dtype=torch.int64, device=self.anchor_boxes.device)

    # -- pair queries

    def _image(self, image: Tensor) -> Tensor:
        """Image of the list that serves ``image``: 0 where all share one list."""
        return torch.zeros_like(image) if self.shared else image

    def _list_image(self) -> Tensor:
        rows = torch.arange(len(self.boxes()), device=self.anchor_boxes.device)
        return rows.div(max(len(self), 1), rounding_mode="floor")

    def _pairs(self, targets: Targets, found: list[tuple[Tensor, Tensor]]) -> Pairs:
        """From blocks of (target, row of the list), ordered by target, then anchor."""
        empty = torch.zeros(0, dtype=torch.int64, device=self.anchor_boxes.device)
        target = torch.cat([t for t, _ in found] or [empty])
        row = torch.cat([r for _, r in found] or [empty])
        flat = targets.image[target] * len(self) + row if self.shared else row
        order = torch.argsort(flat, stable=True)
        order = order[torch.argsort(target[order], stable=True)]
        return Pairs(anchors=self, targets=targets, anchor=flat[order], target=target[order])

    def _overlap(self, targets: Targets, chosen: Tensor, min_iou: float):
        ids = chosen.nonzero()[:, 0]
        boxes = self.boxes().detach()
        image = self._image(targets.image[ids])
        for i, j, value in overlapping_boxes(
            targets.boxes[ids], image, boxes, self._list_image(), min_iou
        ):
            yield ids[i], j, value

    @torch.no_grad()
    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair with IoU >= ``min_iou`` and > 0.

        Only anchors of flat ids ``among`` (Q,) if given; ``min_iou`` may then be (Q,), one for
        each.
        """
        if among is not None:
            return self._overlapping_among(targets, min_iou, among)
        if isinstance(min_iou, Tensor):
            raise ValueError("min_iou may be a tensor only with `among`: one for each anchor")
        return self._pairs(
            targets, [(t, r) for t, r, _ in self._overlap(targets, ~targets.ignore, min_iou)]
        )

    def _overlapping_among(self, targets: Targets, min_iou: float | Tensor, among: Tensor) -> Pairs:
        floor = torch.as_tensor(min_iou, device=among.device).expand(len(among))
        ids = (~targets.ignore).nonzero()[:, 0]
        found = []
        for i, j, value in overlapping_boxes(
            targets.boxes[ids],
            targets.image[ids],
            self.boxes(self.local(among)).detach(),
            among.div(max(len(self), 1), rounding_mode="floor"),
            float(floor.amin()) if len(floor) else 0.0,
        ):
            enough = value >= floor[j]
            found.append((ids[i[enough]], self.local(among[j[enough]])))
        return self._pairs(targets, found)

    @torch.no_grad()
    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest IoU, all ties; none where that IoU is 0."""
        top = targets.boxes.new_zeros(len(targets)).to(
            torch.promote_types(targets.boxes.dtype, self.anchor_boxes.dtype)
        )
        found = []
        for target, row, value in self._overlap(targets, ~targets.ignore, 0.0):
            top = top.scatter_reduce(0, target, value.to(top.dtype), "amax")
            tied = value == top[target]  # later blocks can still raise the maximum
            found.append((target[tied], row[tied], value[tied]))
        return self._pairs(targets, [(t[v == top[t]], r[v == top[t]]) for t, r, v in found])

    @torch.no_grad()
    def inside(self, targets: Targets, region: Tensor | None = None, margin: float = 0.0) -> Pairs:
        """Pairs whose anchor centre is inside the target, or ``region`` (G, 4) or (G, 1, 4)."""
        box = targets.boxes if region is None else region.reshape(len(targets), 4)
        ids = (~targets.ignore).nonzero()[:, 0]
        points, image = self.points().detach(), self._image(targets.image[ids])
        slack = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=box.device) * 1e-3
        found = []
        for i, row in points_in_windows(points, self._list_image(), box[ids] + slack, image):
            exact, point = box[ids[i]], points[row]
            keep = ((point - exact[:, :2] > margin) & (exact[:, 2:] - point > margin)).all(1)
            found.append((ids[i[keep]], row[keep]))
        return self._pairs(targets, found)

    def nearest(self, targets: Targets, k: int) -> Pairs:
        """The ``k`` anchors with the nearest centres; equal distances: the lower anchor first."""
        return self.closest(targets, k, _nearness)

    @torch.no_grad()
    def closest(self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> Pairs:
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        Equal values: the lower anchor first.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        ids = (~targets.ignore).nonzero()[:, 0]
        image, boxes = self._image(targets.image[ids]), self.boxes().detach()
        found = []
        for part in blocks(torch.full_like(ids, len(self))) if len(self) else ():
            at = image[part][:, None] * len(self) + torch.arange(len(self), device=ids.device)
            own = targets.boxes[ids[part]].repeat_interleave(len(self), 0)
            value = by(boxes[at.flatten()], own).view(at.shape)
            least = value.topk(min(k, len(self)), dim=1).values[:, -1:]
            g, column = (value >= least).nonzero(as_tuple=True)  # with all that tie for the last
            keep = rank(value[g, column], g, largest=True) < k
            found.append((ids[part][g[keep]], at[g[keep], column[keep]]))
        return self._pairs(targets, found)

    def in_cell(self, targets: Targets) -> Pairs:
        """A list has no cells: ``ValueError``."""
        raise ValueError("Free anchors have no cells: strategies that need a cell take a Grid")

    @torch.no_grad()
    def covered(self, targets: Targets, min_iof: float = 0.5) -> Tensor:
        """Flat ids, unique, of the anchors that a crowd covers by ``min_iof`` of their area."""
        if min_iof <= 0:
            raise ValueError(f"min_iof must be positive, got {min_iof}")
        found = []
        for target, row, _ in self._overlap(targets, targets.ignore, 0.0):
            share = iof(self.boxes()[row].detach(), targets.boxes[target])
            found.append((target[share >= min_iof], row[share >= min_iof]))
        return self._pairs(targets, found).anchor.unique()
