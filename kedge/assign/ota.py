"""OTA: targets and background supply labels, anchors demand one; the cheapest transport wins."""

from dataclasses import dataclass

from kedge.anchors.queries.regions import inside_and_centre
from kedge.assign.shared.candidates import dynamic_k
from kedge.assign.shared.costs import (
    checked,
    focal_background,
    focal_cost,
    predicted_boxes,
)
from kedge.assign.shared.transport import cheapest_transport
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class OTA:
    """The transport plan of least cost between targets (and background) and anchors.

    A target supplies k labels, the integer part of its ``k`` largest IoUs' sum over the anchors in
    its centre region, at least 1; background supplies the rest. A label costs focal +
    ``box_weight`` * -ln IoU of the prediction, background costs the focal loss of "nothing". The
    plan is found by ``steps`` Sinkhorn iterations with entropy ``epsilon``, in the log domain;
    every row is divided by its largest entry, and an anchor goes where its entry is then largest.
    The centre region holds the anchors inside the target and within ``radius`` strides of its
    centre.

    Edge cases: a target with an empty region supplies nothing and has no anchor (the dense form
    hands it arbitrary ones at a cost of 1e6). Supplies of more than all anchors leave background
    1e-8.

    Source: Ge et al., arXiv:2103.14259, section 3, algorithm 1; the authors' code: k 20, radius
    2.5, weight 1.5, epsilon 0.1, 50 steps.
    """

    k: int = 20
    radius: float = 2.5
    box_weight: float = 1.5
    epsilon: float = 0.1
    steps: int = 50

    def __post_init__(self) -> None:
        if min(self.k, self.steps) < 1 or min(self.radius, self.epsilon) <= 0:
            raise ValueError(f"OTA needs k, steps >= 1 and radius, epsilon > 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = inside_and_centre(anchors, targets, self.radius)
        overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        background = focal_background(predictions, pairs)
        cost = focal_cost(predictions, pairs, background=background)
        cost = cost - self.box_weight * (overlap + 1e-7).log()
        supply = dynamic_k(overlap, pairs.target, len(targets), self.k)
        plan, nothing = cheapest_transport(
            pairs, cost, background, supply, epsilon=self.epsilon, steps=self.steps
        )
        chosen = pairs.wins_anchor(plan) & (plan >= nothing)
        return pairs.select(chosen).assignment()
