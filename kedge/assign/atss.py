"""ATSS: a threshold for every object from the IoU of its own candidates."""

from dataclasses import dataclass

import torch

from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class ATSS:
    """Adaptive Training Sample Selection: mean plus standard deviation is each object's threshold.

    Candidates are the anchors at the ``k`` cells of every level nearest to the object's centre.
    Those whose IoU reaches mean + std (unbiased) of the object's candidates, and whose centre is
    inside the object by more than ``margin`` pixels, are positive; an anchor wanted by several
    objects goes to the largest IoU, the lowest target among equals. Nothing is ignored. An object
    that holds no anchor's centre gets no anchor.

    Source: Zhang et al., arXiv:1912.02424, algorithm 1; the margin is the released code's.
    Deviations: an object with a single candidate keeps it (the released code compares with NaN and
    drops it); equal distances prefer the lower anchor (there: undefined).
    """

    k: int = 9
    margin: float = 0.01

    def __post_init__(self) -> None:
        if self.k < 1 or self.margin < 0:
            raise ValueError(
                f"ATSS needs k >= 1 and margin >= 0, got k={self.k}, margin={self.margin}"
            )

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        pairs = anchors.nearest(targets, self.k)
        iou = pairs.iou()
        threshold = pairs.mean_per_target(iou) + pairs.std_per_target(iou)
        chosen = pairs.select(iou >= threshold[pairs.target])
        chosen = chosen.select(chosen.centre_inside(self.margin))
        return chosen.best_target_per_anchor(by=chosen.iou()).assignment()
