"""Uniform: the same number of positives for every object, whatever its size (YOLOF)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kedge.anchors.queries.predicted import nearest_predictions, well_predicted
from kedge.assign.shared.candidates import with_more
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import both_axes, centres, sizes
from kedge.types import Anchors, Assignment, Predictions, Targets


def _nearness(a: Tensor, b: Tensor) -> Tensor:
    """Minus the L1 distance of two boxes as (cx, cy, w, h)."""
    return -both_axes((centres(a) - centres(b)).abs() + (sizes(a) - sizes(b)).abs())


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """The ``k`` anchors and the ``k`` predictions nearest to an object answer for it.

    Nearness is the L1 distance of (cx, cy, w, h) in pixels. An anchor wanted by several objects
    goes to the nearest one, the lowest target among equals. Chosen anchors whose own IoU with their
    object is below ``min_iou`` are ignored, as are the others whose *predicted* box overlaps some
    object by more than ``ignore_above``. Without predictions the anchors' half of the rule is left.

    Cost: predictions lie on no grid, so the nearest are found by a spatial join of their centres
    with windows around the objects.

    Source: Chen et al., arXiv:2103.09460, section 4.2, and the released code's thresholds.
    Deviation: conflicts go to the nearest object, not to the last one written (which the order of a
    GPU's top-k decides). Objects without area get no anchor.
    """

    takes_predictions: ClassVar[bool] = True

    k: int = 4
    min_iou: float = 0.15
    ignore_above: float = 0.7

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"Uniform.k must be at least 1, got {self.k}")
        if not 0 <= self.min_iou <= 1 or not 0 <= self.ignore_above <= 1:
            raise ValueError(
                "Uniform.min_iou and ignore_above are IoUs in [0, 1], "
                f"got {self.min_iou} and {self.ignore_above}"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        pairs = anchors.closest(targets, self.k, by=_nearness)
        good = None
        if predictions is not None:
            predictions = predictions.detach()
            more = nearest_predictions(pairs, predictions, self.k, _nearness)
            pairs, _ = with_more(pairs, more.anchor, more.target)
            good = well_predicted(anchors, targets, predictions, self.ignore_above)
        objects = pairs.target_boxes()
        near = _nearness(pairs.boxes(), objects)
        if predictions is not None:
            other = _nearness(predictions.boxes_at(pairs.anchor), objects)
            near = torch.maximum(near, other.nan_to_num(nan=-torch.inf))
        best = pairs.best_target_per_anchor(by=near)
        fits = (best.iou() >= self.min_iou) & (best.iou() > 0)
        chosen, ignored = best.split(fits)
        if good is None:
            return chosen.assignment(ignored=ignored, apart=True)
        return chosen.assignment(ignored=torch.cat([ignored, good]))
