"""FCOS: every point inside an object, on the level that fits the object's size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import in_centre
from kedge.assign.shared.in_parts import in_parts
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area
from kedge.rows import pick
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class FCOS:
    """A point answers for an object around it whose farthest side is in the level's range.

    ``m = max(l, t, r, b)``, the distance to the farthest side, has to lie in the level's range;
    ``ranges`` holds one (low, high) in pixels per level. None: 4 to 8 strides, open at both ends of
    the pyramid, which is the paper's 64, 128, 256, 512 for strides 8 to 128. ``strict`` leaves the
    ends of the ranges out (torchvision); the paper's code takes them in. Where several objects
    want a point, the smallest area gets it, the lowest target among equals. Nothing is ignored.

    ``centre_radius`` adds centre sampling: the point has to be less than that many strides from the
    object's centre on both axes as well (1.5 in the improved version and in torchvision).

    Source: Tian et al., arXiv:1904.01355, section 3.2. Deviations: areas are compared as they are
    (torchvision's float32 key ``1e8 - area`` lets areas within 8 px^2 tie); objects whose centres
    sum to 0 are objects like others in centre sampling.
    """

    ranges: Sequence[tuple[float, float]] | None = None
    centre_radius: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.ranges is not None and not all(low <= high for low, high in self.ranges):
            raise ValueError(f"FCOS.ranges are (low, high) per level, got {self.ranges}")
        if self.centre_radius is not None and self.centre_radius <= 0:
            raise ValueError(f"FCOS.centre_radius must be positive, got {self.centre_radius}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        chosen = in_parts(targets, partial(self._fitting, anchors))
        return chosen.best_target_per_anchor(by=-area(chosen.target_boxes())).assignment()

    def _fitting(self, anchors: Anchors, targets: Targets) -> Pairs:
        """The pairs of which the point is inside, near enough and on the right level."""
        low, high = self._ranges(anchors).to(targets.boxes).unbind(1)
        pairs = anchors.inside(targets, self._region(anchors, targets, high))
        sides, level = self._sides(pairs), pairs.level()
        farthest, low, high = sides.amax(0), pick(low, level), pick(high, level)
        if self.strict:
            fits = (farthest > low) & (farthest < high)
        else:
            fits = (farthest >= low) & (farthest <= high)
        fits &= sides.amin(0) > 0  # the point is inside
        if self.centre_radius is not None:
            fits &= in_centre(pairs, self.centre_radius)
        return pairs.select(fits)

    def _ranges(self, anchors: Anchors) -> Tensor:
        """(L, 2) low and high of every level."""
        stride = anchors.level_strides().amax(1)
        if self.ranges is None:
            ranges = torch.stack([4 * stride, 8 * stride], dim=1)
            ranges[0, 0], ranges[-1, 1] = 0, torch.inf
            return ranges
        if len(self.ranges) != len(stride):
            raise ValueError(
                f"FCOS has ranges for {len(self.ranges)} levels, the anchors have {len(stride)}"
            )
        return torch.tensor(self.ranges, device=stride.device)

    def _region(self, anchors: Anchors, targets: Targets, high: Tensor) -> Tensor:
        """(G, L, 4): where the farthest side can be in range and the centre near, and a hair."""
        box, reach = targets.boxes[:, None], (high * (1 + 1e-5) + 1e-2)[:, None]
        low = torch.maximum(box[..., :2], box[..., 2:] - reach)
        far = torch.minimum(box[..., 2:], box[..., :2] + reach)
        if self.centre_radius is not None:
            centre = (box[..., :2] + box[..., 2:]) / 2
            near = self.centre_radius * anchors.level_strides().to(box) * (1 + 1e-5) + 1e-2
            low, far = torch.maximum(low, centre - near), torch.minimum(far, centre + near)
        return torch.cat([low, far], dim=-1)

    @staticmethod
    def _sides(pairs: Pairs) -> Tensor:
        """(4, P) distances l, t, r, b of the point from the object's sides."""
        point, box = pairs.points(), pairs.target_boxes()
        return torch.cat([(point - box[:, :2]).T, (box[:, 2:] - point).T])
