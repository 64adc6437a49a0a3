"""The prediction-aware rules, dense: all anchors with all objects, one image at a time.

As the released codes do it, with one kindness: they hold (objects x anchors x classes) tables to
sum a classification loss; here the loss of "background" is summed once per anchor and corrected at
the object's class, as Kedge does it, which needs tables of (objects x anchors) only.
"""

import math

import torch
import torch.nn.functional as F
from dense_scene import (
    BACKGROUND,
    Scene,
    areas,
    best,
    centres,
    inside,
    near_centre,
    overlaps,
    scores,
)
from torch import Tensor
from torchvision.ops import box_iou

# -- costs -----------------------------------------------------------------------------------------


def focal_tables(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) focal loss of "this class" and of "not this class"."""
    p = logits.sigmoid()
    return 0.25 * (1 - p) ** 2 * F.softplus(-logits), 0.75 * p**2 * F.softplus(logits)


def focal(scene: Scene) -> tuple[Tensor, Tensor]:
    """(G, N) focal loss of the object's class, summed over classes, and (N,) of background."""
    positive, negative = focal_tables(scene.logits)
    nothing = negative.sum(1)
    return (positive - negative).T[scene.labels].add_(nothing), nothing


def root_score_cost(scores: Tensor, labels: Tensor) -> Tensor:
    """(G, N) cross-entropy of the roots of scores (N, C), summed over classes."""
    score = scores.sqrt()
    absent, present = -torch.log1p(-score).clamp(min=-100), -score.log().clamp(min=-100)
    return (present - absent).T[labels] + absent.sum(1)


def soft_label_cost(logits: Tensor, labels: Tensor, iou: Tensor) -> Tensor:
    """(G, N) quality focal loss of logits (N, C) against the IoU, summed over classes."""
    absent = F.softplus(logits) * logits.sigmoid() ** 2
    logit = logits.T[labels]
    cost = F.binary_cross_entropy_with_logits(logit, iou, reduction="none")
    return cost * (iou - logit.sigmoid()) ** 2 - absent.T[labels] + absent.sum(1)


def taken(cost: Tensor, wanted: Tensor, forbidden: Tensor) -> Tensor:
    """(N,) of every object the ``wanted`` (G,) cheapest anchors (G, N).

    A contested anchor goes to the cheapest object of all, even one that did not want it.
    """
    cost = cost.masked_fill_(forbidden, torch.inf)
    value, index = cost.topk(min(int(wanted.max()), cost.shape[1]), dim=1, largest=False)
    keep = (torch.arange(value.shape[1]) < wanted[:, None]) & (value < torch.inf)
    match = torch.zeros_like(forbidden).scatter_(1, index, keep)
    return best(cost.neg_(), match.logical_or_(match.sum(0) > 1))


def dynamic_k(iou: Tensor, k: int) -> Tensor:
    """(G,) the integer part of the sum of the ``k`` largest overlaps, at least 1."""
    return iou.topk(min(k, iou.shape[1]), dim=1).values.sum(1).int().clamp(min=1)


def spread_out(labels: Tensor, valid: Tensor, count: int) -> Tensor:
    """(N,) labels of the ``valid`` anchors (V,), background elsewhere."""
    out = torch.full((count,), BACKGROUND)
    out[valid] = labels
    return out


# -- positives by a ranking ------------------------------------------------------------------------


def tal(scene: Scene, k: int = 13, alpha: float = 1.0, beta: float = 6.0) -> Tensor:
    """TOOD's: of the k anchors of largest score^alpha * IoU^beta those inside; contests by IoU."""
    iou = box_iou(scene.boxes, scene.predicted)
    metric = scene.logits.sigmoid().T[scene.labels].pow_(alpha).mul_(iou**beta)
    value, index = metric.topk(min(k, metric.shape[1]), dim=1)
    claimed = torch.zeros_like(iou, dtype=torch.bool).scatter_(1, index, value > 0)
    return best(iou, claimed.logical_and_(inside(centres(scene.anchors), scene.boxes)))


def sim_ota(scene: Scene, k: int = 10, radius: float = 2.5) -> Tensor:
    """YOLOX's, over the anchors inside or near the centre of any object.

    An anchor that is neither near the object nor overlaps it with its prediction is never taken.
    """
    point = centres(scene.anchors)
    within, centre = inside(point, scene.boxes), near_centre(scene, point, radius)
    own = within | centre
    valid = own.any(0).nonzero()[:, 0]
    if len(valid) == 0:
        return torch.full((len(point),), BACKGROUND)
    iou = box_iou(scene.boxes, scene.predicted[valid])
    cost = root_score_cost(scores(scene)[valid], scene.labels) - 3 * (iou + 1e-7).log()
    cost += 1e5 * ~(within & centre)[:, valid]
    labels = taken(cost, dynamic_k(iou, k), ~own[:, valid] & (iou == 0))
    return spread_out(labels, valid, len(point))


def dynamic_soft_label(scene: Scene, k: int = 13, radius: float = 3.0) -> Tensor:
    """RTMDet's, over the anchors inside any object."""
    point = centres(scene.anchors)
    within = inside(point, scene.boxes)
    valid = within.any(0).nonzero()[:, 0]
    if len(valid) == 0:
        return torch.full((len(point),), BACKGROUND)
    iou = box_iou(scene.boxes, scene.predicted[valid])
    cost = soft_label_cost(scene.logits[valid], scene.labels, iou)
    away = torch.cdist(centres(scene.boxes), point[valid].to(scene.boxes))
    prior = 10 ** (away / scene.grid.stride()[valid, 0] - radius)
    cost = cost - 3 * (iou + 1e-7).log() + prior
    labels = taken(cost, dynamic_k(iou, k), torch.zeros_like(iou, dtype=torch.bool))
    return spread_out(labels, valid, len(point))


def ota(scene: Scene, k: int = 20, radius: float = 2.5, steps: int = 50) -> Tensor:
    """The authors': Sinkhorn in the log domain over (objects + background) x anchors.

    An object whose centre region is empty supplies nothing (there: arbitrary anchors).
    """
    point = centres(scene.anchors)
    region = inside(point, scene.boxes) & near_centre(scene, point, radius)
    real = region.any(1).nonzero()[:, 0]
    iou = box_iou(scene.boxes, scene.predicted)
    cost, nothing = focal(scene)
    cost = cost.sub_((iou + 1e-7).log_().mul_(1.5)).add_(1e6 * ~region)
    supply = dynamic_k(iou.mul_(region), k)[real].to(cost)
    supply = torch.cat([supply, (len(point) - supply.sum()).clamp(min=1e-8)[None]])
    cost = torch.cat([cost[real], nothing[None]]).div_(-0.1)
    u, v = cost.new_zeros(len(cost)), cost.new_zeros(len(point))
    for _ in range(steps):
        v = -(u[:, None] + cost).logsumexp(0)
        u = supply.log() - (v + cost).logsumexp(1)
    plan = cost.add_(u[:, None]).add_(v)
    owner = plan.sub_(plan.amax(1, keepdim=True)).argmax(0)
    none = owner == len(real)
    return torch.where(none, BACKGROUND, torch.cat([real, real.new_zeros(1)])[owner])


def lada(scene: Scene, k: int = 9, total: int = 20) -> Tensor:
    """A shrunken box per level, the combined loss, the mean of the cheapest as the threshold."""
    stride = scene.grid.stride()[:, 0]
    x, y = centres(scene.anchors).unbind(1)
    x1, y1, x2, y2 = scene.boxes[:, :, None].unbind(1)
    across, along = x - (x1 + x2) / 2, y - (y1 + y2) / 2
    share = (stride / stride.max()).sqrt() / 2
    mask = (across.abs() < share * (x2 - x1)) & (along.abs() < share * (y2 - y1))
    off = (2 * across.abs() / (x2 - x1)).add_(2 * along.abs() / (y2 - y1))
    cost = focal(scene)[0].add_(1 - overlaps(scene)[1], alpha=1.5)
    cost = cost.add_((off - 1).clamp_(min=0)).masked_fill_(~mask, torch.inf)
    own = best(-cost, mask)
    cost.masked_fill_(own != torch.arange(len(cost))[:, None], torch.inf)
    value, index = cheapest_per_level(scene, cost, k)
    value, place = value.topk(min(total, value.shape[1]), dim=1, largest=False)
    index, finite = index.gather(1, place), value < torch.inf
    mean = torch.where(finite, value, 0).sum(1) / finite.sum(1).clamp(min=1)
    keep = (value < mean[:, None]) & finite
    keep[:, 0] |= finite[:, 0]
    labels = torch.full((len(x),), BACKGROUND)
    labels[index[keep]] = keep.nonzero()[:, 0]
    return labels


def cheapest_per_level(scene: Scene, cost: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(G, L * k) the cheapest of every level, and their anchors."""
    values, indices, start = [], [], 0
    for part in cost.split(list(scene.grid.anchors_per_level), 1):
        value, index = part.topk(min(k, part.shape[1]), dim=1, largest=False)
        values.append(value)
        indices.append(index + start)
        start += part.shape[1]
    return torch.cat(values, 1), torch.cat(indices, 1)


def paa(scene: Scene, min_iou: float = 0.1, k: int = 9) -> Tensor:
    """MaxIoU at 0.1, the 9 cheapest of every level, and a mixture of two Gaussians per object.

    The authors fit one object after the other with scikit-learn; here all objects at once.
    """
    iou = box_iou(scene.boxes, scene.anchors)
    top, own = iou.max(0)
    rescued = ((iou == iou.amax(1, keepdim=True)) & (iou > 0)).any(0)
    mine = ((top >= min_iou) | rescued).nonzero()[:, 0]
    boxes, predicted, owner = scene.boxes[own[mine]], scene.predicted[mine], own[mine]
    positive, negative = focal_tables(scene.logits[mine])
    own_class = (positive - negative).gather(1, scene.labels[owner][:, None])[:, 0]
    low, high = torch.maximum(boxes, predicted), torch.minimum(boxes, predicted)
    shared = (high[:, 2:] - low[:, :2]).clamp(min=0).prod(1)
    union = areas(boxes) + areas(predicted) - shared
    around = (low[:, 2:] - high[:, :2]).prod(1)
    loss = negative.sum(1) + own_class + 2 - shared / union - union / around
    cost = iou.fill_(torch.inf)
    cost[owner, mine] = loss.to(cost)
    value, index = cheapest_per_level(scene, cost, k)
    value, order = value.sort(1)
    density, first = two_gaussians(value, value < torch.inf)
    first &= value < torch.inf
    final = torch.where(first, density, -torch.inf).argmax(1)
    final = torch.where(first.any(1), final, value.shape[1])
    keep = (torch.arange(value.shape[1]) <= final[:, None]) & (value < torch.inf)
    labels = torch.full((len(own),), BACKGROUND)
    labels[index.gather(1, order)[keep]] = keep.nonzero()[:, 0]
    return labels


def hungarian(scene: Scene) -> Tensor:
    """Deformable DETR's costs, and scipy's ``linear_sum_assignment`` on all of them."""
    from scipy.optimize import linear_sum_assignment

    height, width = scene.grid.image_size
    scale = scene.boxes.new_tensor([width, height])

    def relative(boxes: Tensor) -> Tensor:
        return torch.cat([centres(boxes) / scale, (boxes[:, 2:] - boxes[:, :2]) / scale], 1)

    positive, negative = focal_tables(scene.logits)
    cost = 2 * (positive - negative).T[scene.labels]
    cost += 5 * torch.cdist(relative(scene.boxes), relative(scene.predicted), p=1)
    cost += 2 * (1 - overlaps(scene)[1])
    row, column = linear_sum_assignment(cost.numpy())
    labels = torch.full((len(scene.anchors),), BACKGROUND)
    labels[torch.from_numpy(column)] = torch.from_numpy(row)
    return labels


# -- PAA's fit -------------------------------------------------------------------------------------


def two_gaussians(values: Tensor, real: Tensor, steps: int = 100) -> tuple[Tensor, Tensor]:
    """(G, K) log density of a mixture of two Gaussians per row, and whether the first is likelier.

    Expectation maximisation as scikit-learn does it from means at both ends and variances 1; a row
    stops when its mean log likelihood moves by less than 1e-3. ``values`` ascend in every row.
    """
    x, count = torch.where(real, values, 0).double(), real.sum(1, keepdim=True).clamp(min=1)
    mean = torch.stack([x[:, :1], x.gather(1, count - 1)])
    weight, variance = torch.full_like(mean, 0.5), torch.ones_like(mean)
    previous = torch.full_like(x[:, :1], -torch.inf)
    moving = torch.ones_like(previous, dtype=torch.bool)

    def joint() -> Tensor:
        height = weight.log() - 0.5 * (2 * math.pi * variance).log()
        return height - (x - mean) ** 2 / (2 * variance)

    for _ in range(steps):
        both = joint()
        density = both.logsumexp(0)
        share = (both - density).exp() * real
        mass = share.sum(2, keepdim=True) + 10 * torch.finfo(x.dtype).eps
        centre = (share * x).sum(2, keepdim=True) / mass
        spread = (share * (x - centre) ** 2).sum(2, keepdim=True) / mass + 1e-6
        fit = mass / mass.sum(0), centre, spread
        weight, mean, variance = (
            torch.where(moving, new, old) for new, old in zip(fit, (weight, mean, variance))
        )
        likelihood = (density * real).sum(1, keepdim=True) / count
        moving = moving & ((likelihood - previous).abs() >= 1e-3)
        previous = likelihood
        if not moving.any():
            break
    both = joint()
    return both.logsumexp(0), both[0] >= both[1]
