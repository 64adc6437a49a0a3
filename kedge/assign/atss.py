"""ATSS: a threshold for every object from the IoU of its own candidates."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.costs import alignment, checked
from kedge.assign.shared.in_parts import in_parts
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class ATSS:
    """Adaptive Training Sample Selection: mean plus standard deviation is each object's threshold.

    Candidates are the anchors at the ``k`` cells of every level nearest to the object's centre.
    Those whose IoU reaches mean + std (unbiased) of the object's candidates, and whose centre is
    inside the object by more than ``margin`` pixels, are positive; an anchor wanted by several
    objects goes to the largest IoU, the lowest target among equals. Nothing is ignored. An object
    that holds no anchor's centre gets no anchor.

    ``side`` measures the IoU with squares of so many strides around the anchors' centres in place
    of the anchors themselves: 8 for detectors of points (FCOS with ATSS, GFL, VFNet).

    ``alpha`` puts ``score^(1 - alpha) * IoU^alpha`` of the *prediction* in the place of the
    anchor's IoU, score the probability of the object's class: then predictions are needed. DDOD
    chooses by 0.8 for classes and, apart from that, by 0.5 for boxes.

    Source: Zhang et al., arXiv:1912.02424, algorithm 1; the margin is the released code's. Chen et
    al., arXiv:2107.02963 (DDOD), for ``alpha``, as in MMDetection. Deviations: an object with a
    single candidate keeps it (the released code compares with NaN and drops it); equal distances
    prefer the lower anchor (there: undefined).
    """

    k: int = 9
    margin: float = 0.01
    side: float | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ValueError(f"ATSS.alpha is in [0, 1], or None, got {self.alpha}")
        if self.alpha is not None and self.side is not None:
            raise ValueError("ATSS: alpha measures predictions, side anchors: give one of them")
        if self.side is not None and self.side <= 0:
            raise ValueError(f"ATSS.side is in strides and positive, or None, got {self.side}")
        if self.k < 1 or self.margin < 0:
            raise ValueError(
                f"ATSS needs k >= 1 and margin >= 0, got k={self.k}, margin={self.margin}"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; without ``alpha`` ``predictions`` are not read."""
        if self.alpha is not None:
            predictions = checked(predictions, anchors, targets, self)
        pairs = in_parts(targets, partial(self._high, anchors, predictions))
        return pairs.best_target_per_anchor(by=pairs.iou()).assignment()

    def _high(self, anchors: Anchors, predictions: Predictions | None, targets: Targets) -> Pairs:
        """The candidates that reach their object's threshold, with their centre inside it."""
        pairs = anchors.nearest(targets, self.k)
        if self.alpha is not None:
            assert predictions is not None, "it has been checked"
            pairs = pairs.with_iou(alignment(predictions, pairs, self.alpha))
        elif self.side is not None:
            pairs = pairs.with_iou(self._iou_of_squares(pairs, self.side))
        threshold = torch.add(*pairs.mean_and_std_per_target(pairs.iou()))
        pairs = pairs.select(pairs.iou() >= pick(threshold, pairs.target))
        return pairs.select(pairs.centre_inside(self.margin))

    @staticmethod
    def _iou_of_squares(pairs: Pairs, side: float) -> Tensor:
        """(P,) IoU of the squares of ``side`` strides that stand for the anchors."""
        half = pairs.stride() * side / 2
        squares = torch.cat([pairs.points() - half, pairs.points() + half], 1)
        return iou(squares, pairs.target_boxes())
