"""LADA: anchors near the centre whose combined loss is below their target's mean."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import mean, rank
from kedge.assign.shared.costs import checked, focal_cost, giou_cost
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import scaled
from kedge.rows import where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class LADA:
    """Lightweight anchor dynamic assignment: a centre prior, a combined loss, a dynamic threshold.

    1. Candidates: anchors whose centre is strictly inside the target's box, shrunk about its
       centre by sqrt(stride / largest stride) (``ratio="sqrt"``), or by the plain quotient
       (``"linear"``).
    2. Combined loss: focal + ``box_weight`` * GIoU loss + ``deviation_weight`` * max(dev - 1, 0),
       dev = |l - r| / (l + r) + |t - b| / (t + b) of the centre in the target. An anchor that is a
       candidate of several targets stays with the cheapest.
    3. Of every target the ``k`` cheapest on each level, of these the ``k_total`` cheapest.
    4. Positive is what is below the mean of the pool: of the target (``pool="target"``), of the
       target's anchors on that level (``"level"``), or of the whole image (``"image"``).

    Edge cases: the cheapest candidate of a target is always positive: with the strict comparison
    alone a target with one candidate, or with equal ones, would have none. A target without a
    centre in its shrunken box has none.

    Source: Han et al., Sensors 2023, 23(14):6306, sections 3.1 to 3.3. **Reported, not verified**:
    only the abstract could be read; the formulas follow a third-party implementation that cites
    the sections. It takes the square root in code, and the plain quotient in its text, which alone
    gives every level the same number of candidates. That number is below one for objects under
    the largest stride: on `bccd` at 256 x 320 px 47 % of the objects get no anchor. So the square
    root is the default.
    """

    ratio: Literal["linear", "sqrt"] = "sqrt"
    pool: Literal["target", "level", "image"] = "target"
    k: int = 9
    k_total: int = 20
    box_weight: float = 1.5
    deviation_weight: float = 1.0

    def __post_init__(self) -> None:
        if min(self.k, self.k_total) < 1 or min(self.box_weight, self.deviation_weight) < 0:
            raise ValueError(f"LADA needs k, k_total >= 1 and weights >= 0, got {self}")
        if self.ratio not in ("linear", "sqrt"):
            raise ValueError(f"LADA.ratio is 'linear' or 'sqrt', got {self.ratio!r}")
        if self.pool not in ("target", "level", "image"):
            raise ValueError(f"LADA.pool is 'target', 'level' or 'image', got {self.pool!r}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = anchors.inside(targets, self.region(anchors, targets))
        cost = self._combined_loss(predictions, pairs)
        pairs, cost = _keep(pairs, cost, pairs.wins_anchor(-cost))
        place = rank(cost, pairs.target * anchors.num_levels + pairs.level())
        pairs, cost = _keep(pairs, cost, place < self.k)
        pairs, cost = _keep(pairs, cost, rank(cost, pairs.target) < self.k_total)
        pool, count = self._pools(pairs)
        low = cost < mean(cost, pool, count)[pool]
        return pairs.select(low | (rank(cost, pairs.target) == 0)).assignment()

    def region(self, anchors: Anchors, targets: Targets) -> Tensor:
        """(G, L, 4) of every target and level the shrunken box in which candidates lie."""
        stride = anchors.level_strides().amax(1)
        share = stride / stride.max()
        share = share.sqrt() if self.ratio == "sqrt" else share
        return scaled(targets.boxes[:, None], share.to(targets.boxes)[:, None])

    def _combined_loss(self, predictions: Predictions, pairs: Pairs) -> Tensor:
        excess = (deviation(pairs.points(), pairs.target_boxes()) - 1).clamp(min=0)
        loss = focal_cost(predictions, pairs) + self.box_weight * giou_cost(predictions, pairs)
        return loss + self.deviation_weight * excess

    def _pools(self, pairs: Pairs) -> tuple[Tensor, int]:
        """The pool (P,) of every pair, and the number of pools."""
        targets = pairs.targets
        if self.pool == "image":
            return targets.image[pairs.target], targets.batch_size
        if self.pool == "level":
            levels = pairs.anchors.num_levels
            return pairs.target * levels + pairs.level(), len(targets) * levels
        return pairs.target, len(targets)


def deviation(points: Tensor, boxes: Tensor) -> Tensor:
    """(P,) how far off-centre points (P, 2) are in boxes (P, 4): 0 in the middle, 2 at a corner."""
    near, far = points - boxes[:, :2], boxes[:, 2:] - points
    return ((near - far).abs() / (near + far).clamp(min=1e-6)).sum(1)


def _keep(pairs: Pairs, cost: Tensor, mask: Tensor) -> tuple[Pairs, Tensor]:
    rows = where(mask)
    return pairs.select(rows), cost[rows]
