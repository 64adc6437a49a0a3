"""SizeIoU: an IoU threshold that grows with the object's size (small objects)."""

import math
from dataclasses import dataclass

from torch import Tensor

from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class SizeIoU:
    """An anchor is positive for its best target at IoU >= the threshold of that target's size.

    The threshold is ``base + slope * log2(side / size)`` of a target whose area is ``side^2``,
    never below ``negative`` nor above ``most``: a target of ``size`` px asks for ``base``, one
    twice as large for ``slope`` more. An anchor whose best IoU is below ``negative`` is background;
    between the two it is ignored. Equal IoU: the lowest target.

    Edge cases: no low-quality match: a target whose best anchor stays below its threshold has
    none. A target without area overlaps nothing.

    Source: Yuan et al., arXiv:2308.09534 (CFINet), dynamic anchor selection, and the released code:
    0.25, 0.15, 12 px, 0.2 to 0.7.
    """

    base: float = 0.25
    slope: float = 0.15
    size: float = 12.0
    negative: float = 0.2
    most: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.negative <= self.most <= 1:
            raise ValueError(
                "SizeIoU needs 0 < negative <= most <= 1, "
                f"got negative={self.negative}, most={self.most}"
            )
        if self.size <= 0 or self.slope < 0 or not math.isfinite(self.base):
            raise ValueError(f"SizeIoU needs size > 0 and slope >= 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; IoU is geometry, so ``predictions`` are not read."""
        del predictions
        pairs = anchors.overlapping(targets, self.negative)
        best = pairs.best_target_per_anchor(by=pairs.iou())
        enough = best.iou() >= self.threshold(best.target_boxes())
        chosen, ignored = best.split(enough)
        return chosen.assignment(ignored=ignored, apart=True)

    def threshold(self, boxes: Tensor) -> Tensor:
        """(P,) the IoU that objects (P, 4) ask for."""
        octaves = area(boxes).sqrt().div(self.size).log2()
        return (self.base + self.slope * octaves).clamp(self.negative, self.most)
