"""The rules whose outcome is a weight, dense: FreeAnchor, MAL, NoisyAnchors, AutoAssign, DW.

Each computes the weights that its strategy gives: of positives (G, N), or per anchor, and of the
background terms (C, N) where the rule has them. Labels are the object of largest weight at every
anchor.
"""

import math
from typing import NamedTuple

import torch
from dense_scene import BACKGROUND, Scene, areas, best, centres, inside, overlaps, scores
from torch import Tensor
from torchvision.ops import box_iou


class Weights(NamedTuple):
    """What a rule says beyond labels (N,)."""

    labels: Tensor
    weight: Tensor  # (G, N), -inf where there is no pair; (N,) for NoisyAnchors
    background: Tensor | None = None  # (C, N)
    quality: Tensor | None = None  # (N,)


def per_class(scene: Scene, value: Tensor) -> Tensor:
    """(C, N) the smallest of ``value`` (G, N) over the objects of a class; 1 without any."""
    out = value.new_ones(scene.logits.shape[1], value.shape[1])
    return out.index_reduce_(0, scene.labels, value, "amin")


def outcome(pair: Tensor, weight: Tensor, background: Tensor) -> Weights:
    """Labels by largest weight (G, N) among the pairs (G, N)."""
    weight = weight.masked_fill(~pair, -torch.inf)
    return Weights(best(weight, pair), weight, background)


# -- bags ------------------------------------------------------------------------------------------


def bags(scene: Scene, k: int) -> tuple[Tensor, Tensor]:
    """(G, k) the anchors of largest IoU, and which of them touch the object at all."""
    value, anchor = top(box_iou(scene.boxes, scene.anchors), k)
    return anchor, value > 0


def top(value: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of every row; among equals any, as ``topk`` has it."""
    found = value.topk(min(k, value.shape[1]), dim=1)
    return found.values, found.indices


def mean_max(scene: Scene, anchor: Tensor, keep: Tensor, iou: Tensor) -> Weights:
    """Weights of the bags (G, k), and one minus the probability that an anchor matches."""
    score = scene.logits.T[scene.labels].gather(1, anchor).sigmoid()
    share = keep / (1 - score * iou.gather(1, anchor)).clamp(min=1e-6)
    share = share / share.sum(1, keepdim=True).clamp(min=1e-12)
    pair = torch.zeros_like(iou, dtype=torch.bool).scatter_(1, anchor, keep)
    weight = torch.zeros_like(iou).scatter_(1, anchor, share)
    reach = (iou.amax(1, keepdim=True) - 0.6).clamp(min=1e-12)
    match = ((iou - 0.6) / reach).clamp_(0, 1)
    return outcome(pair, weight, per_class(scene, 1 - match))


def free_anchor(scene: Scene, k: int = 50) -> Weights:
    """Bags of 50, mean-max weights, background by saturated predicted IoU."""
    anchor, keep = bags(scene, k)
    return mean_max(scene, anchor, keep, box_iou(scene.boxes, scene.predicted))


def mal(scene: Scene, k: int = 50, progress: float = 0.5) -> Weights:
    """FreeAnchor with the best scoring share of every bag."""
    anchor, keep = bags(scene, k)
    iou = box_iou(scene.boxes, scene.predicted)
    score = scene.logits.T[scene.labels].gather(1, anchor).sigmoid() + 0.75 * iou.gather(1, anchor)
    order = score.masked_fill(~keep, -torch.inf).argsort(dim=1, descending=True, stable=True)
    left = (keep.sum(1, keepdim=True) * (1 - progress)).floor() + 1
    place = torch.arange(anchor.shape[1])
    return mean_max(scene, anchor.gather(1, order), keep.gather(1, order) & (place < left), iou)


def noisy_anchors(scene: Scene, k: int = 30, alpha: float = 0.75) -> Weights:
    """The union of the bags, each anchor for its own best object; cleanliness and weight."""
    iou = box_iou(scene.boxes, scene.anchors)
    value, anchor = top(iou, k)
    chosen = anchor[value > 0].unique()
    labels = torch.full((len(scene.anchors),), BACKGROUND)
    labels[chosen] = iou.max(0).indices[chosen]
    own = scene.boxes[labels[chosen]]
    loc = _iou_rows(scene.predicted[chosen], own)
    cls = scene.logits[chosen, scene.labels[labels[chosen]]].sigmoid()
    mixed = alpha * loc / loc.mean() + (1 - alpha) * cls / cls.mean()
    stretch = (1 - loc.mean()) / (mixed.max() - mixed.min()).clamp(min=1e-6)
    u, w = 1 / (1 - loc).clamp(min=1e-6), 1 / (1 - cls).clamp(min=1e-6)
    quality, weight = loc.new_ones(len(labels)), loc.new_ones(len(labels))
    quality[chosen] = (loc.mean() + (mixed - mixed.min()) * stretch).clamp(0, 1)
    weight[chosen] = alpha * u / u.mean() + (1 - alpha) * w / w.mean()
    return Weights(labels, weight, quality=quality)


def _iou_rows(a: Tensor, b: Tensor) -> Tensor:
    side = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    shared = side.clamp(min=0).prod(1)
    return shared / (areas(a) + areas(b) - shared)


# -- all anchors inside ----------------------------------------------------------------------------


def confidence(scene: Scene, giou: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """(G, N) score * objectness * exp(-5 GIoU loss), and the Gaussian around the centre."""
    p = scores(scene).T[scene.labels] * torch.exp(-5 * (1 - giou))
    x, y = centres(scene.anchors).unbind(1)
    stride_x, stride_y = scene.grid.stride().unbind(1)
    cx, cy = centres(scene.boxes)[:, :, None].unbind(1)
    away = ((x - cx) / stride_x) ** 2 + ((y - cy) / stride_y) ** 2
    return p, torch.exp(-away / (2 * sigma**2))


def stretched(value: Tensor, pair: Tensor, highest: float = math.inf) -> Tensor:
    """(G, N) ``value`` brought to [0, 1] over the pairs of every object."""
    low = value.masked_fill(~pair, torch.inf).amin(1, keepdim=True)
    high = value.masked_fill(~pair, -torch.inf).amax(1, keepdim=True).clamp(max=highest)
    return (value - low + 1e-12) / (high - low + 1e-12)


def auto_assign(scene: Scene) -> Weights:
    """All anchors inside, exp(3 P) G normalised; the background falls with predicted IoU."""
    pair = inside(centres(scene.anchors), scene.boxes)
    iou, giou = overlaps(scene)
    p, prior = confidence(scene, giou, 1.0)
    weight = torch.exp(3 * p) * prior * pair
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    value = 1 / (1 - iou.masked_fill(~pair, 0).amax(0)).clamp(min=1e-6)
    rest = 1 - stretched(value.expand_as(iou), pair)
    return outcome(pair, weight, per_class(scene, rest.masked_fill(~pair, 1)))


def dw(scene: Scene) -> Weights:
    """All anchors inside, exp(5 P) P G over the sum of exp(3 P) P G; background by IoU."""
    pair = inside(centres(scene.anchors), scene.boxes)
    iou, giou = overlaps(scene)
    p, prior = confidence(scene, giou, 1.11)
    share = p * prior * pair
    total = (torch.exp(3 * p) * share).sum(1, keepdim=True).clamp(min=1e-12)
    weight = torch.exp(5 * p) * share / total
    rest = stretched((1 - iou**2) / 0.75, pair, highest=1.0)
    rest = torch.where((iou < 0.5) | ~pair, 1, rest)
    return outcome(pair, weight, per_class(scene, rest))
