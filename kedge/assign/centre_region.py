"""CentreRegion: an object's middle is positive, a ring around it ignored (FSAF, FoveaBox)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area, scaled
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class CentreRegion:
    """Points in an object's box scaled by ``positive`` answer for it; by ``ignored``, are ignored.

    The box is scaled about its centre. ``ranges`` holds one (low, high) per level: an object
    answers on the levels whose range holds the square root of its area, ends included; None: on all
    levels. Where several objects want a point, the smallest area gets it, the lowest target among
    equals; a positive point is not ignored. An object whose middle holds no point gets none.

    Source: the effective and ignored regions of FSAF, Zhu et al., arXiv:1903.00621 (the defaults);
    FoveaBox, Kong et al., arXiv:1904.03797, section 3.2, is ``CentreRegion(positive=0.4,
    ignored=0.4, ranges=...)``. Deviations: regions are continuous, not rounded to whole cells;
    ignored points are ignored for all classes.
    """

    positive: float = 0.2
    ignored: float = 0.5
    ranges: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.positive <= self.ignored:
            raise ValueError(
                "CentreRegion needs 0 < positive <= ignored, "
                f"got positive={self.positive}, ignored={self.ignored}"
            )
        if self.ranges is not None and not all(low <= high for low, high in self.ranges):
            raise ValueError(f"CentreRegion.ranges are (low, high) per level, got {self.ranges}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        middle = self._inside(anchors, targets, self.positive)
        chosen = middle.best_target_per_anchor(by=-area(middle.target_boxes()))
        if self.ignored == self.positive:
            return chosen.assignment()
        return chosen.assignment(ignored=self._inside(anchors, targets, self.ignored).anchor)

    def _inside(self, anchors: Anchors, targets: Targets, scale: float) -> Pairs:
        """Pairs with the point inside the scaled box, on the levels for the object's size."""
        region = scaled(targets.boxes, scale)
        if self.ranges is None:
            return anchors.inside(targets, region)
        if len(self.ranges) != anchors.num_levels:
            raise ValueError(
                f"CentreRegion has ranges for {len(self.ranges)} levels, the anchors have "
                f"{anchors.num_levels}"
            )
        low, high = torch.tensor(self.ranges, device=region.device).unbind(1)
        side = area(targets.boxes).sqrt()[:, None]
        nowhere = torch.tensor([0.0, 0.0, -1.0, -1.0]).to(region)
        answers = ((side >= low) & (side <= high))[..., None]
        return anchors.inside(targets, torch.where(answers, region[:, None], nowhere))
