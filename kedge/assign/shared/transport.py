"""The cheapest transport of labels from targets and background to anchors (Sinkhorn), on pairs."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import largest, logsumexp, total


def cheapest_transport(
    pairs: Pairs,
    cost: Tensor,
    background: Tensor,
    supply: Tensor,
    *,
    epsilon: float,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """Log plan (P,) of the pairs, and of background at their anchors, each relative to the largest
    of its supplier.

    Targets supply ``supply`` (G,) labels, background the rest of its image's anchors; ``cost`` and
    ``background`` (P,) price them. ``steps`` iterations in the log domain, entropy ``epsilon``.

    **Sparse and equal.** The published rule adds 1e6 to the cost of pairs outside the centre
    region. In the plan such a pair holds at most exp((spread of the potentials - 1e6) / epsilon).
    Potentials move by a few epsilon per step, so that this is 0 in float32 and float64, and
    leaving the pairs out changes nothing. Anchors in no region then see background only: their
    potential is known in closed form, and their number is all that enters the sums. So the plan
    lives on the pairs of the regions, and one entry per anchor in them.
    """
    targets = pairs.targets
    flat = pairs.distinct_anchors()  # u distinct anchors
    point = torch.searchsorted(flat, pairs.anchor)
    image, count = pairs.anchors.image_of(flat), pairs.anchors.count(targets.batch_size)
    wide = torch.float32 if cost.device.type == "mps" else torch.float64
    real = pairs.count_per_target() > 0
    supply = torch.where(real, supply, 0).to(wide)
    rest = count - total(supply, targets.image, targets.batch_size)
    rest = rest.clamp(min=1e-8).log()
    others = count - torch.bincount(image, minlength=targets.batch_size)
    others = others.to(wide).log()  # anchors in no region; -inf if there are none
    reward = -cost.to(wide) / epsilon
    empty = reward.new_zeros(len(flat)).scatter_(0, point, -background.to(wide) / epsilon)
    u, b, v = supply.new_zeros(len(targets)), torch.zeros_like(rest), torch.zeros_like(empty)
    before = b
    for _ in range(steps):
        best = logsumexp(reward + u[pairs.target], point, len(flat))
        v = -torch.logaddexp(best, empty + b[image])
        u = torch.where(real, supply.log() - logsumexp(reward + v[point], pairs.target, len(u)), u)
        before = b
        seen = logsumexp(empty + v, image, len(b))
        b = rest - torch.logaddexp(seen, others - before)
    plan = reward + u[pairs.target] + v[point]
    nothing = empty + b[image] + v
    lead = torch.where(torch.isfinite(others), b - before, -torch.inf)
    lead = torch.maximum(largest(nothing, image, len(b)), lead)
    plan = plan - largest(plan, pairs.target, len(u))[pairs.target]
    return plan, (nothing - lead[image])[point]
