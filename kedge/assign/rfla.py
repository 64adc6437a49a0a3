"""RFLA: anchors read as Gaussian receptive fields, matched in two ranked rounds (tiny objects)."""

import math
from dataclasses import dataclass

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area, rfd, scaled
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class RFLA:
    """Every object takes its ``first`` most similar receptive fields, then ``second`` smaller ones.

    Anchors and objects are Gaussians (centre, half sides); their similarity is ``kedge.boxes.rfd``.
    Give the grid one square shape per level, the level's effective receptive field (half the
    theoretical one: 17.5, 45.5, 133.5, 213.5, 277.5, 405.5 px for P2 to P7 of a ResNet-50 FPN).

    Round one: the ``first`` best anchors of every object are positive; later objects overwrite.
    Anchors that stay free are ignored if their similarity with some object reaches
    ``ignore_above``, else background. Round two: the receptive fields are shrunk by ``shrink`` and
    the ``second`` best of every object are added, where round one left them free.

    Source: Xu et al., arXiv:2208.08738, section 3.3. Deviations: the anchors are not changed (the
    released code shrinks the caller's tensor in place); objects without area get none.
    """

    first: int = 3
    second: int = 1
    shrink: float = 0.9
    ignore_above: float = 0.8

    def __post_init__(self) -> None:
        if self.first < 1 or self.second < 0:
            raise ValueError(
                f"RFLA needs first >= 1 and second >= 0, got {self.first} and {self.second}"
            )
        if not 0 < self.shrink <= 1 or not 0 < self.ignore_above <= 1:
            raise ValueError(
                "RFLA needs shrink and ignore_above in (0, 1], "
                f"got {self.shrink} and {self.ignore_above}"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        chosen = self._round(anchors, targets, self.first, 1.0)
        if self.second:
            more = self._round(anchors, targets, self.second, self.shrink)
            chosen = chosen.join(more.without(chosen))
        return chosen.assignment(ignored=self._similar(anchors, targets))

    @staticmethod
    def _round(anchors: Anchors, targets: Targets, k: int, shrink: float) -> Pairs:
        """The ``k`` best anchors of every object, of which later objects overwrite earlier ones."""
        pairs = anchors.closest(targets, k, by=lambda a, b: rfd(scaled(a, shrink), b))
        return pairs.select(area(pairs.target_boxes()) > 0).last_target_per_anchor()

    def _similar(self, anchors: Anchors, targets: Targets) -> Tensor:
        """Flat ids of the anchors that are as similar to some object as ``ignore_above``.

        Then KL <= 1 / ignore_above - 1, so the centres are at most sqrt(KL / 2) sides apart.
        """
        reach = 2 * math.sqrt((1 / self.ignore_above - 1) / 2) * (1 + 1e-4) + 1e-4
        near = anchors.inside(targets, scaled(targets.boxes, reach))
        return near.anchor[rfd(near.boxes(), near.target_boxes()) >= self.ignore_above]
