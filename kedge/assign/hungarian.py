"""Hungarian: one anchor for each target, at the least total cost (DETR)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import where
from kedge.assign.shared.costs import checked, focal_gain
from kedge.assign.shared.matching import cheapest_matching
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import at_least_float32, centres, sizes, unflip
from kedge.types import Anchors, Assignment, Predictions, Targets

BLOCK = 1 << 17  # (target, anchor) costs that are held at once
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
        count = anchors.count(targets.batch_size)
        first = (count.cumsum(0) - count).tolist()
        for image in targets.image[~targets.ignore].unique().tolist():
            rows = where((targets.image == image) & ~targets.ignore)
            rows = rows.repeat_interleave(self.repeat) if self.repeat > 1 else rows
            flat = first[image] + torch.arange(int(count[image]), device=rows.device)
            for group in self._parted(flat):
                found.append(self._match(rows, group, targets, predictions, scale))
        target, anchor = (torch.cat(part) for part in zip(*found))
        return Pairs(anchors=anchors, targets=targets, anchor=anchor, target=target).assignment()

    def _scale(self, anchors: Anchors, like: Tensor) -> Tensor:
        size = self.image_size or anchors.image_size
        if size is None:
            raise ValueError(
                "Hungarian measures boxes relative to the image: these anchors do not know its "
                "size, give Hungarian(image_size=(H, W))"
            )
        return like.new_tensor([size[1], size[0], size[1], size[0]])

    def _parted(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The anchors of an image, group by group."""
        if len(flat) % self.groups:
            raise ValueError(
                f"Hungarian: {len(flat)} anchors an image cannot be parted into {self.groups} "
                "groups of equal size"
            )
        return flat.split(max(1, len(flat) // self.groups))

    def _match(
        self,
        rows: Tensor,
        flat: Tensor,
        targets: Targets,
        predictions: Predictions,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Targets and anchors of one image's matching: of targets ``rows``, anchors ``flat``."""
        boxes, goal = at_least_float32(unflip(predictions.boxes_at(flat)), targets.boxes[rows])
        names, label = targets.labels[rows].unique(return_inverse=True)
        classes = self._classes(predictions, flat, names).to(boxes)
        scale, few = scale.to(boxes), len(rows) <= len(flat)
        less, more = sorted((len(rows), len(flat)))

        def cheapest(wanted: Tensor, k: int) -> tuple[Tensor, Tensor]:
            """Of some targets the anchors, or, where targets are more, of some anchors the
            targets."""
            column = torch.empty(len(wanted), k, dtype=torch.int64, device=rows.device)
            price = boxes.new_empty(len(wanted), k)
            step = max(1, BLOCK // more)
            for first in range(0, len(wanted), step):
                part = slice(first, first + step)
                own = wanted[part].to(rows.device)
                if few:
                    cost = self._cost(goal[own], label[own], boxes, classes, scale)
                else:
                    cost = self._cost(goal, label, boxes[own], classes[:, own], scale).T
                price[part], column[part] = cost.topk(k, dim=1, largest=False)
            return column, price

        column = cheapest_matching(less, more, cheapest).to(rows.device)
        return (rows, flat[column]) if few else (rows[column], flat)

    def _classes(self, predictions: Predictions, flat: Tensor, names: Tensor) -> Tensor:
        """(K, N) cost of the classes ``names`` (K,); of a product minus their scores."""
        if self.classification == "softmax":
            logits = at_least_float32(predictions.logits_at(flat))[0]
            return -logits.softmax(-1).T.index_select(0, names)
        logits = at_least_float32(predictions.log_odds_at(flat))[0]
        logits = logits.T.index_select(0, names)
        if self.cost == "product":
            return -logits.sigmoid()
        return focal_gain(logits, 0.25, 2.0)

    def _cost(
        self, goal: Tensor, labels: Tensor, boxes: Tensor, classes: Tensor, scale: Tensor
    ) -> Tensor:
        """(g, N) cost of a block of targets; ``labels`` (g,) are rows of ``classes`` (K, N)."""
        if self.cost == "product":
            shared, union = _shared_and_union(goal, boxes)
            cost = shared.div_(union.clamp_(min=TINY)).pow_(self.iou_power).mul_(classes[labels])
            return torch.nan_to_num(cost, nan=WORST)
        cost = torch.cdist(_centred(goal) / scale, _centred(boxes) / scale, p=1)
        cost.mul_(self.box_weight).add_(classes[labels], alpha=self.class_weight)
        cost.add_(1 - _pairwise_giou(goal, boxes), alpha=self.giou_weight)
        return torch.nan_to_num(cost, nan=WORST, posinf=WORST, neginf=WORST).clamp_(max=WORST)


def _pairwise_giou(a: Tensor, b: Tensor) -> Tensor:
    """(g, N) GIoU of boxes (g, 4) and (N, 4), column by column; several times faster than
    ``boxes.giou`` on (g, N, 4)."""
    x1, y1, x2, y2 = a.T[:, :, None]
    u1, v1, u2, v2 = b.T
    shared, union = _shared_and_union(a, b)
    hull = torch.maximum(x2, u2).sub_(torch.minimum(x1, u1))
    hull.mul_(torch.maximum(y2, v2).sub_(torch.minimum(y1, v1)))
    empty = (hull - union).div_(hull.clamp_(min=TINY))
    return shared.div_(union.clamp_(min=TINY)).sub_(empty)


def _shared_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(g, N) areas of intersection and union of boxes (g, 4) and (N, 4)."""
    x1, y1, x2, y2 = a.T[:, :, None]
    u1, v1, u2, v2 = b.T
    shared = torch.minimum(x2, u2).sub_(torch.maximum(x1, u1)).clamp_(min=0)
    shared.mul_(torch.minimum(y2, v2).sub_(torch.maximum(y1, v1)).clamp_(min=0))
    return shared, ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)).sub_(shared)


def _centred(boxes: Tensor) -> Tensor:
    return torch.cat([centres(boxes), sizes(boxes)], dim=-1)
