"""Objects from extreme points: edges strengthen peaks, four points make a box, ghosts fade."""

from typing import NamedTuple

import torch
from torch import Tensor

from kedge.anchors.segments import rank
from kedge.select.peaks import Peaks
from kedge.types import Detections


class Fours(NamedTuple):
    """Groups of four points of one class (P,) each: their image, which top, left, bottom and right
    point, and their score."""

    image: Tensor
    top: Tensor
    left: Tensor
    bottom: Tensor
    right: Tensor
    score: Tensor


def run_before(heat: Tensor, axis: int) -> Tensor:
    """For every cell of (..., H, W) the sum of those before it along ``axis`` as far back as they
    do not rise: [.1, .3, .2] has [0, .1, 0]."""
    heat = heat.double()
    before = heat.cumsum(axis) - heat
    size = heat.shape[axis]
    shape = [1] * heat.ndim
    shape[axis] = size
    place = torch.arange(size, device=heat.device).view(shape).expand_as(heat)
    first = heat.narrow(axis, 0, 1)
    falls = heat < torch.cat([first, heat.narrow(axis, 0, size - 1)], axis)
    start = torch.where(falls, place, 0).cummax(axis).values
    return before - before.gather(axis, start)


def aggregated(heat: Tensor, axis: int, weight: float) -> Tensor:
    """Heat (B, C, H, W) plus ``weight`` times what rises towards each cell from both sides along
    ``axis``, at most 1: an edge has no single extreme point, all of it speaks for its middle.

    Source: Zhou et al., arXiv:1901.08043, section 4.3.
    """
    after = run_before(heat.flip(axis), axis).flip(axis)
    return (heat + weight * (run_before(heat, axis) + after)).clamp(max=1).to(heat.dtype)


@torch.no_grad()
def group_extremes(
    points: tuple[Peaks, Peaks, Peaks, Peaks],
    centre: Tensor,
    *,
    min_extreme: float = 0.1,
    min_centre: float = 0.1,
) -> Fours:
    """All groups of a top, a left, a bottom and a right point whose places agree and whose middle
    is a centre, images ascending.

    Of one class; no point is above the top one, left of the left one and so on; each scores
    ``min_extreme``, and the middle ``min_centre`` on the map ``centre`` (B, C, H, W) in [0, 1]. The
    score is the mean, the centre counted twice. Top is paired with bottom and left with right
    before the pairs are, so that what cannot belong together is never listed in fours.

    Source: Zhou et al., arXiv:1901.08043, section 4.1 and algorithm 1.
    """
    found = []
    for image in range(len(centre)):
        top, left, bottom, right = (Peaks(*(column[image] for column in kind)) for kind in points)
        t, b = _pairs(top, bottom, top.y, bottom.y, min_extreme)
        across, down = _pairs(left, right, left.x, right.x, min_extreme)
        one, two = (top.label[t][:, None] == left.label[across]).nonzero(as_tuple=True)
        t, b, a, d = t[one], b[one], across[two], down[two]
        good = (top.y[t] <= torch.minimum(left.y[a], right.y[d])) & (
            bottom.y[b] >= torch.maximum(left.y[a], right.y[d])
        )
        good &= (left.x[a] <= torch.minimum(top.x[t], bottom.x[b])) & (
            right.x[d] >= torch.maximum(top.x[t], bottom.x[b])
        )
        t, b, a, d = t[good], b[good], a[good], d[good]
        y, x = (top.y[t] + bottom.y[b]) // 2, (left.x[a] + right.x[d]) // 2
        middle = centre[image, top.label[t], y, x]
        kept = (middle >= min_centre).nonzero()[:, 0]
        t, b, a, d, middle = t[kept], b[kept], a[kept], d[kept], middle[kept]
        each = top.score[t] + left.score[a] + bottom.score[b] + right.score[d]
        number = torch.full_like(t, image)
        found.append(Fours(number, t, a, b, d, (each + 2 * middle) / 6))
    return Fours(*(torch.cat(column) for column in zip(*found)))


def _pairs(
    one: Peaks, other: Peaks, low: Tensor, high: Tensor, least: float
) -> tuple[Tensor, Tensor]:
    """Which points of two kinds are of one class, good enough, and ``low`` not beyond ``high``."""
    good = (one.score[:, None] >= least) & (other.score >= least)
    good &= (one.label[:, None] == other.label) & (low[:, None] <= high)
    first, second = good.nonzero(as_tuple=True)
    return first, second


@torch.no_grad()
def without_ghosts(found: Detections, *, above: float = 0.2, times: float = 3.0) -> Detections:
    """Detections whose boxes hold several others lose half of their score: those above ``above``
    where the scores of the boxes inside, of the same class and itself among them, add up to more
    than ``times`` its own.

    Source: Zhou et al., arXiv:1901.08043, section 4.2.
    """
    box = found.boxes
    within = (box[None, :, :2] >= box[:, None, :2]) & (box[None, :, 2:] <= box[:, None, 2:])
    same = (found.image[:, None] == found.image) & (found.labels[:, None] == found.labels)
    inside = within.all(-1) & same
    total = torch.where(inside, found.scores, 0.0).sum(1)
    ghost = (found.scores > above) & (total > times * found.scores)
    scores = torch.where(ghost, found.scores / 2, found.scores)
    place = rank(scores, found.image, largest=True)
    order = torch.argsort(found.image * len(box) + place)
    return Detections(
        boxes=box[order], scores=scores[order], labels=found.labels[order],
        image=found.image[order], batch_size=found.batch_size,
    )  # fmt: skip
