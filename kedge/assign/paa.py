"""PAA: a mixture of two Gaussians separates each target's good anchors from its bad ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import rank
from kedge.assign.shared.costs import checked, focal_cost, giou_cost
from kedge.assign.shared.mixture import two_gaussians
from kedge.assign.shared.without_graph import without_graph
from kedge.rows import where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class PAA:
    """Anchors whose loss belongs to the lower of two Gaussians fitted to their target's losses.

    1. Every anchor belongs to its best target at IoU >= ``min_iou``; the best anchors of a target
       too, whatever their IoU (each for its own best target).
    2. Its loss: focal + ``box_weight`` * GIoU loss of the prediction. 3. Candidates of a target:
    the ``k`` of lowest loss on every level. 4. Two Gaussians are fitted to their losses, for all
    targets at once. The candidates up to the most
       likely one of the lower component are positive. If none belongs to it, all are.

    All other anchors are background.

    Edge cases: a single candidate is positive (MMDetection drops such targets). A target whose
    anchors all belong to others has none.

    Source: Kim and Lee, arXiv:2007.08103, sections 3.1 to 3.3, scheme (c) of figure 3; the
    authors' code: IoU 0.1, k 9, both losses unweighted (MMDetection: ``box_weight=1.3``).
    Deviation: step 1 never lends an anchor of IoU 0.
    """

    min_iou: float = 0.1
    k: int = 9
    box_weight: float = 1.0
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_iou <= 1 or self.k < 1 or self.box_weight < 0:
            raise ValueError(f"PAA needs 0 <= min_iou <= 1, k >= 1 and box_weight >= 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = own_targets(anchors, targets, self.min_iou)
        loss = focal_cost(predictions, pairs, self.alpha, self.gamma)
        loss = loss + self.box_weight * giou_cost(predictions, pairs)
        levels = pairs.target * anchors.num_levels + pairs.level()
        rows = where(rank(loss, levels) < self.k)
        pairs, loss = pairs.select(rows), loss[rows]
        return pairs.select(low_component(loss, pairs)).assignment()


def own_targets(anchors: Anchors, targets: Targets, min_iou: float) -> Pairs:
    """Every anchor with its best target, at IoU >= ``min_iou`` or as one of some target's best."""
    pairs = anchors.overlapping(targets, min_iou)
    alone = pairs.without_any()  # the best anchors of all others are among the pairs
    if bool(alone.any()):
        rescued = anchors.best(targets.only(alone)).without(pairs).distinct_anchors()
        pairs = pairs.join(anchors.overlapping(targets, 0.0, among=rescued))
    return pairs.best_target_per_anchor(by=pairs.iou())


def low_component(loss: Tensor, pairs: Pairs) -> Tensor:
    """(P,) bool: the candidates up to the most likely one of the lower component."""
    place = rank(loss, pairs.target)
    count = pairs.count_per_target()
    width = int(count.max()) if len(count) else 0
    values = loss.new_zeros(len(count), width)
    values[pairs.target, place] = loss
    fit = two_gaussians(values, count)
    real = torch.arange(width, device=loss.device) < count[:, None]
    density = torch.where(fit.first & real, fit.log_density, -torch.inf)
    if width == 0:
        return torch.zeros_like(place, dtype=torch.bool)
    last = density.argmax(1)  # the lowest loss among equals
    last = torch.where((fit.first & real).any(1), last, count)
    return place <= last[pairs.target]
