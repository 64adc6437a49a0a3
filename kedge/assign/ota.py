"""OTA: targets and background supply labels, anchors demand one; the cheapest transport wins."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.regions import inside_and_centre
from kedge.anchors.segments import largest, logsumexp, total, winners
from kedge.assign.candidates import dynamic_k
from kedge.assign.costs import (
    anchors_of,
    checked,
    focal_background,
    focal_cost,
    predicted_boxes,
)
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

    **Sparse and equal.** The published rule adds 1e6 to the cost of pairs outside the centre
    region. In the plan such a pair holds at most exp((spread of the potentials - 1e6) / epsilon).
    Potentials move by a few epsilon per step, so that this is 0 in float32 and float64, and
    leaving the pairs out changes nothing. Anchors in no region then see background only: their
    potential is known in closed form, and their number is all that enters the sums. So the plan
    lives on the pairs of the regions, and one entry per anchor in them.

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

    @torch.no_grad()
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
        supply = dynamic_k(pairs, overlap, self.k)
        plan, nothing = self._transport(pairs, cost, background, supply)
        chosen = winners(pairs, plan) & (plan >= nothing)
        return pairs.select(chosen).assignment()

    def _transport(
        self, pairs: Pairs, cost: Tensor, background: Tensor, supply: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log plan (P,) of the pairs, and of background at their anchors, relative to each row's
        largest.
        """
        targets = pairs.targets
        flat, point = anchors_of(pairs)  # u distinct anchors
        image = flat.div(max(len(pairs.anchors), 1), rounding_mode="floor")
        wide = torch.float32 if cost.device.type == "mps" else torch.float64
        real = pairs.count_per_target() > 0
        supply = torch.where(real, supply, 0).to(wide)
        rest = len(pairs.anchors) - total(supply, targets.image, targets.batch_size)
        rest = rest.clamp(min=1e-8).log()
        others = len(pairs.anchors) - torch.bincount(image, minlength=targets.batch_size)
        others = others.to(wide).log()  # anchors in no region; -inf if there are none
        reward = -cost.to(wide) / self.epsilon
        empty = reward.new_zeros(len(flat)).scatter_(0, point, -background.to(wide) / self.epsilon)
        u, b, v = supply.new_zeros(len(targets)), torch.zeros_like(rest), torch.zeros_like(empty)
        before = b
        for _ in range(self.steps):
            best = logsumexp(reward + u[pairs.target], point, len(flat))
            v = -torch.logaddexp(best, empty + b[image])
            u = torch.where(
                real, supply.log() - logsumexp(reward + v[point], pairs.target, len(u)), u
            )
            before = b
            seen = logsumexp(empty + v, image, len(b))
            b = rest - torch.logaddexp(seen, others - before)
        plan = reward + u[pairs.target] + v[point]
        nothing = empty + b[image] + v
        lead = torch.where(torch.isfinite(others), b - before, -torch.inf)
        lead = torch.maximum(largest(nothing, image, len(b)), lead)
        plan = plan - largest(plan, pairs.target, len(u))[pairs.target]
        return plan, (nothing - lead[image])[point]
