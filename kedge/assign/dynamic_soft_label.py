"""DynamicSoftLabel: SimOTA with a soft class cost and a soft centre prior (RTMDet)."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.affordable import affordable
from kedge.assign.shared.candidates import cheapest, dynamic_k
from kedge.assign.shared.contest import settle
from kedge.assign.shared.costs import checked, predicted_boxes, soft_label_cost
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import centres, iou
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class DynamicSoftLabel:
    """The k cheapest candidates of every target, k = the integer part of its ``k`` largest IoUs'
    sum, >= 1.

    Cost: quality focal loss, summed over classes, of the scores against the *soft* label IoU at
    the target's class; + ``iou_weight`` * -ln(IoU + 1e-7); + 10^(distance of the centres in
    strides - ``soft_centre_radius``). An anchor that several targets want goes to the
    candidate target to which it costs least, even one that did not want it. ``quality`` is the IoU
    of the predicted box.

    ``candidates``: ``"any"``, the published rule: every anchor inside *any* target of its image may
    be taken by every target; ``"own"``: only anchors inside the target itself.

    Cost of ``"any"``: a spatial join finds the targets that an anchor's predicted box overlaps. An
    anchor that is neither inside nor overlaps costs at least ``iou_weight`` * -ln 1e-7 = 48, and
    more with every stride, so it is looked for only near targets, tiny as a rule, that would take
    something still dearer.

    Edge cases: a target without a candidate has no anchor, nor has one that loses all to cheaper
    targets; at 41 strides and more from the centre the cost is infinite, and such an anchor is
    never positive.

    Source: Lyu et al., arXiv:2212.07784 (RTMDet), section 3.3, eq. 2 to 5; MMDetection: k 13,
    weight 3, radius 3. Deviation: of targets that an anchor does not touch only those that look
    near enough take part when several want it.
    """

    k: int = 13
    iou_weight: float = 3.0
    soft_centre_radius: float = 3.0
    candidates: Literal["any", "own"] = "any"

    def __post_init__(self) -> None:
        if self.k < 1 or min(self.iou_weight, self.soft_centre_radius) < 0:
            raise ValueError(f"DynamicSoftLabel needs k >= 1 and settings >= 0, got {self}")
        if self.candidates not in ("any", "own"):
            raise ValueError(
                f"DynamicSoftLabel.candidates is 'any' or 'own', got {self.candidates!r}"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = anchors.inside(targets)
        if self.candidates == "any":
            price = partial(self._price, predictions)
            pairs, overlap, cost, claimed = affordable(
                pairs,
                predictions,
                price,
                self._claimed,
                self.k,
                self._guess,
                self._least_overlap,
                self._least_untouched,
            )
        else:
            overlap, cost = self._price(predictions, pairs)
            claimed = self._claimed(pairs, overlap, cost)
        rows = where(settle(pairs, claimed, -cost))
        return pairs.select(rows).assignment(quality=pick(overlap, rows))

    def _price(self, predictions: Predictions, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """(P,) overlap of the predicted boxes, and cost."""
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        return overlap, self._cost(predictions, pairs, overlap)

    def _claimed(self, pairs: Pairs, overlap: Tensor, cost: Tensor) -> Tensor:
        """(P,) bool: whether the target wants the anchor."""
        wanted = dynamic_k(overlap, pairs.target, len(pairs.targets), self.k)
        return cheapest(cost, pairs.target, wanted, self.k) & (cost < torch.inf)

    def _least_overlap(self, cost: Tensor) -> Tensor:
        """(G,) what overlaps less costs more than ``cost`` (G,), whatever its score and place."""
        if self.iou_weight == 0:
            return torch.zeros_like(cost)
        return (torch.exp(-cost / self.iou_weight) * (1 - 1e-5) - 1e-7).clamp(min=0)

    def _least_untouched(self, strides: float) -> float:
        """The least that an anchor costs whose prediction does not touch the target, more than so
        many strides away."""
        return -self.iou_weight * math.log(1e-7) + 10 ** (strides - self.soft_centre_radius)

    def _cost(self, predictions: Predictions, pairs: Pairs, overlap: Tensor) -> Tensor:
        classes = soft_label_cost(predictions, pairs, overlap)
        return classes - self.iou_weight * (overlap + 1e-7).log() + self._prior(pairs)

    def _prior(self, pairs: Pairs) -> Tensor:
        x, y = (pairs.points() - centres(pairs.target_boxes())).unbind(1)
        away = torch.hypot(x, y) / pairs.stride()[:, 0]
        return 10 ** (away - self.soft_centre_radius)

    def _guess(self, pairs: Pairs, overlap: Tensor) -> Tensor:
        """(P,) the cost without that of the classes, which is positive."""
        return self._prior(pairs) - self.iou_weight * (overlap + 1e-7).log()
