"""Hungarian: one anchor for each target, at the least total cost (DETR)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.columns import columns
from kedge.assign.shared.costs import checked, focal_gain
from kedge.assign.shared.matching import cheapest_matching
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import at_least_float32, centres, sizes, unflip
from kedge.rows import pick
from kedge.types import Anchors, Assignment, Predictions, Targets

BLOCK, ON_A_GPU = 1 << 17, 1 << 24  # (target, anchor) costs that are held at once
TINY = 1e-12  # square pixels: what two boxes without area share is 0
WORST = 1e6  # the cost of a prediction that is not finite


@dataclass(frozen=True, kw_only=True)
class Hungarian:
    """The one-to-one matching of an image's targets with its anchors (or queries) of least total
    cost.

    Cost: ``class_weight`` * classification + ``box_weight`` * L1 distance of (cx, cy, w, h)
    relative to the image + ``giou_weight`` * (1 - GIoU) of the predicted box. Classification is

    - ``"focal"``: the focal loss of the target's class minus that of its absence, for detectors
      with sigmoid scores (Deformable DETR: weights 2, 5, 2), the default here;
    - ``"softmax"``: minus the probability of the target's class, for DETR itself (weights 1, 5, 2;
      give logits with a last column for "no object").

    ``cost="product"`` asks instead for the most ``score * IoU^iou_power`` of the predictions, score
    the probability of the target's class: no weights, and no box but one that overlaps counts.

    - ``repeat``: how many anchors every target is matched with, each once (H-DETR's one-to-many
      branch: 6).
    - ``groups``: parts of equal size that an image's anchors fall into, in order; each is matched
      with all targets by itself, so that a target has one anchor of every group (Group DETR: 11,
      RF-DETR: 13). Training only: a detector shows the first group.

    ``image_size`` (H, W) is the grid's unless given; ``Free`` anchors (queries) need it.

    **Exact without the whole matrix.** The costs are computed in blocks, of which each target's few
    cheapest anchors are kept; the matching on these is solved, and its duals say whether another
    anchor could have paid (`kedge.assign.shared.matching`). Where one could, those targets are
    looked at again, deeper. Memory grows with the objects, not with objects times anchors; the time
    stays that of all costs, as the rule says. The solver runs image by image on the CPU, as in the
    peers.

    Edge cases: more targets than anchors: every anchor gets one, the others stay without (which
    ones is part of the best matching). Predictions that are not finite cost as much as the worst. A
    product costs 0 for whatever does not overlap: a target that no prediction overlaps gets any
    anchor.

    Errors: ``ValueError`` where an image's anchors cannot be parted into equal ``groups``.

    Source: Carion et al., arXiv:2005.12872, section 3.1; Zhu et al., arXiv:2010.04159 (focal form);
    Jia et al., arXiv:2207.13080 (``repeat``); Chen et al., arXiv:2207.13085 (``groups``); DEIMv2's
    released matcher (``cost="product"``, power 4).
    """

    classification: Literal["focal", "softmax"] = "focal"
    class_weight: float = 2.0
    box_weight: float = 5.0
    giou_weight: float = 2.0
    image_size: tuple[int, int] | None = None
    cost: Literal["sum", "product"] = "sum"
    iou_power: float = 4.0
    repeat: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        if min(self.class_weight, self.box_weight, self.giou_weight) < 0:
            raise ValueError(f"Hungarian needs weights >= 0, got {self}")
        if self.classification not in ("focal", "softmax"):
            raise ValueError(
                f"Hungarian.classification is 'focal' or 'softmax', got {self.classification!r}"
            )
        if self.cost not in ("sum", "product"):
            raise ValueError(f"Hungarian.cost is 'sum' or 'product', got {self.cost!r}")
        if min(self.repeat, self.groups) < 1 or self.iou_power <= 0:
            raise ValueError(f"Hungarian needs repeat, groups >= 1 and iou_power > 0, got {self}")

    @classmethod
    def detr(cls) -> "Hungarian":
        """DETR's own settings: softmax, weights 1, 5, 2."""
        return cls(classification="softmax", class_weight=1.0)

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        scale = self._scale(anchors, targets.boxes)
        empty = targets.image[:0]
        found = [(empty, empty)]
        for rows, place, flat, most in self._problems(anchors, targets):
            for group in self._parted(flat):
                found.append(self._match(rows, place, group, most, targets, predictions, scale))
        target, anchor = (torch.cat(part) for part in zip(*found))
        if self.groups > 1:
            order = torch.argsort(target, stable=True)
            target, anchor = pick(target, order), pick(anchor, order)
        return Pairs(anchors=anchors, targets=targets, anchor=anchor, target=target).assignment()

    def _problems(
        self, anchors: Anchors, targets: Targets
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Targets (R,), the image (R,) below I of each, the anchors (I, N) of the images, and how
        many targets an image has at most.

        All images together, where all have equally many anchors, and enough; else one by one.
        """
        rows = targets.real
        rows = rows.repeat_interleave(self.repeat) if self.repeat > 1 else rows
        if len(rows) == 0:
            return
        image, place, number = pick(targets.image, rows).unique(
            return_inverse=True, return_counts=True
        )
        wide = anchors.per_image
        most = int(number.max())
        if wide is not None and most * self.groups <= wide:
            flat = image[:, None] * wide + torch.arange(wide, device=rows.device)
            yield rows, place, flat, most
            return
        count = anchors.count(targets.batch_size)
        first, image = (count.cumsum(0) - count).tolist(), image.tolist()
        for at, own in zip(image, rows.split(number.tolist())):
            flat = first[at] + torch.arange(int(count[at]), device=rows.device)
            yield own, torch.zeros_like(own), flat[None], len(own)

    def _scale(self, anchors: Anchors, like: Tensor) -> Tensor:
        size = self.image_size or anchors.image_size
        if size is None:
            raise ValueError(
                "Hungarian measures boxes relative to the image: these anchors do not know its "
                "size, give Hungarian(image_size=(H, W))"
            )
        return like.new_tensor([size[1], size[0], size[1], size[0]])

    def _parted(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The anchors (I, N) of images, group by group."""
        wide = flat.shape[1]
        if wide % self.groups:
            raise ValueError(
                f"Hungarian: {wide} anchors an image cannot be parted into {self.groups} "
                "groups of equal size"
            )
        return flat.split(max(1, wide // self.groups), dim=1)

    def _match(
        self,
        rows: Tensor,
        place: Tensor,
        flat: Tensor,
        most: int,
        targets: Targets,
        predictions: Predictions,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Targets and anchors of a matching: of targets ``rows`` (R,), ``most`` an image, with the
        anchors ``flat`` (I, N) of the image at ``place`` (R,); one image where targets are
        more."""
        wide = flat.shape[1]
        if flat.numel() == len(predictions):  # all rows, which need not be picked
            boxes, raw = predictions.every_box(), predictions.class_rows
        else:
            boxes, raw = (
                of(flat.flatten()) for of in (predictions.boxes_at, predictions.logits_at)
            )
        boxes, goal = at_least_float32(unflip(boxes), pick(targets.boxes, rows))
        scale = scale.to(boxes)
        if self.cost == "sum":
            boxes = torch.cat([boxes, _centred(boxes) / scale], dim=1)
        sides = columns(boxes.view(*flat.shape, -1))
        key = place * predictions.num_classes + pick(targets.labels, rows)
        names, label = key.unique(return_inverse=True)
        raw = raw.view(*flat.shape, -1)
        classes = self._classes(predictions, raw, names).to(boxes)
        few = len(rows) <= flat.numel()
        size = _size(rows.device)

        def cheapest(wanted: Tensor, k: int) -> tuple[Tensor, Tensor]:
            """Of some targets the anchors, or, where targets are more, of some anchors the
            targets."""
            column = torch.empty(len(wanted), k, dtype=torch.int64, device=rows.device)
            price = boxes.new_empty(len(wanted), k)
            step = max(1, size // max(wide, 1 if few else len(rows)))
            for first in range(0, len(wanted), step):
                part = slice(first, first + step)
                own = wanted[part].to(rows.device)
                if few:
                    at = pick(place, own)
                    prices = pick(classes, pick(label, own))
                    cost = self._cost(pick(goal, own), prices, _rows(sides, at), scale)
                    price[part], column[part] = cost.topk(k, dim=1, largest=False)
                    column[part] += at[:, None] * wide
                else:
                    prices = pick(classes[:, own], label)
                    cost = self._cost(goal, prices, sides[:, :, own], scale).T
                    price[part], column[part] = cost.topk(k, dim=1, largest=False)
            return column, price

        less, more = sorted((len(rows), flat.numel()))
        column = cheapest_matching(less, more, cheapest, most if few else less).to(rows.device)
        every = flat.flatten()
        return (rows, pick(every, column)) if few else (pick(rows, column), every)

    def _classes(self, predictions: Predictions, raw: Tensor, names: Tensor) -> Tensor:
        """(K, N) cost of the classes ``names`` (K,), which are image * classes + class, by the raw
        outputs (I, N, W) of the anchors; of a product minus their scores."""
        place = names.div(predictions.num_classes, rounding_mode="floor")
        label = names - place * predictions.num_classes
        if self.classification == "softmax":
            return -at_least_float32(raw)[0].softmax(-1)[place, :, label]
        odds = predictions.classes.log_odds(raw)
        size = max(1, _size(raw.device) // max(raw.shape[1], 1))
        some = [
            self._price(at_least_float32(odds[image, :, own])[0])
            for image, own in zip(place.split(size), label.split(size))
        ]
        return some[0] if len(some) == 1 else torch.cat(some)

    def _price(self, logits: Tensor) -> Tensor:
        """(k, N) cost of classes by their logits."""
        return -logits.sigmoid() if self.cost == "product" else focal_gain(logits, 0.25, 2.0)

    def _cost(self, goal: Tensor, classes: Tensor, sides: Tensor, scale: Tensor) -> Tensor:
        """(g, N) cost of targets (g, 4), whose classes cost (g, N), at anchors ``sides`` (D, 1, N)
        or (D, g, N): x1, y1, x2, y2, and for a sum, relative to the image, centre and size."""
        if self.cost == "product":
            shared, union = _shared_and_union(goal, sides)
            cost = shared.div_(union.clamp_(min=TINY)).pow_(self.iou_power).mul_(classes)
            return torch.nan_to_num(cost, nan=WORST)
        own = (_centred(goal) / scale).T[:, :, None]
        cost = (sides[4] - own[0]).abs_()
        for theirs, mine in zip(sides[5:], own[1:]):
            cost += (theirs - mine).abs_()
        cost.mul_(self.box_weight).add_(classes, alpha=self.class_weight)
        cost.add_(1 - _pairwise_giou(goal, sides), alpha=self.giou_weight)
        return torch.nan_to_num(cost, nan=WORST, posinf=WORST, neginf=WORST).clamp_(max=WORST)


def _size(device: torch.device) -> int:
    """Entries of a cost that are held at once."""
    return BLOCK if device.type == "cpu" else ON_A_GPU


def _rows(sides: Tensor, image: Tensor) -> Tensor:
    """(D, 1, N) or (D, g, N) of (D, I, N): those of every target's ``image`` (g,), ascending."""
    if sides.shape[1] == 1:
        return sides
    if image.device.type == "cpu" and image[0] == image[-1]:
        return sides[:, int(image[0]), None]
    return sides.index_select(1, image)


def _pairwise_giou(a: Tensor, b: Tensor) -> Tensor:
    """(g, N) GIoU of boxes (g, 4) with the columns ``b`` (4 and more, 1 or g, N); several times
    faster than ``boxes.giou`` on (g, N, 4)."""
    x1, y1, x2, y2 = a.T[:, :, None]
    u1, v1, u2, v2 = b[:4]
    shared, union = _shared_and_union(a, b)
    hull = torch.maximum(x2, u2).sub_(torch.minimum(x1, u1))
    hull.mul_(torch.maximum(y2, v2).sub_(torch.minimum(y1, v1)))
    empty = (hull - union).div_(hull.clamp_(min=TINY))
    return shared.div_(union.clamp_(min=TINY)).sub_(empty)


def _shared_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(g, N) areas of intersection and union of boxes (g, 4) with the columns ``b``."""
    x1, y1, x2, y2 = a.T[:, :, None]
    u1, v1, u2, v2 = b[:4]
    shared = torch.minimum(x2, u2).sub_(torch.maximum(x1, u1)).clamp_(min=0)
    shared.mul_(torch.minimum(y2, v2).sub_(torch.maximum(y1, v1)).clamp_(min=0))
    return shared, ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)).sub_(shared)


def _centred(boxes: Tensor) -> Tensor:
    return torch.cat([centres(boxes), sizes(boxes)], dim=-1)
