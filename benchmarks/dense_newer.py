"""The newer rules, dense: all anchors with all objects, one image at a time."""

import torch
from dense_forms import adaptive, yolov5_pairs
from dense_predictions import dynamic_k, root_score_cost, soft_label_cost, spread_out, taken, tal
from dense_scene import (
    BACKGROUND,
    IGNORED,
    Scene,
    areas,
    best,
    centres,
    inside,
    last,
    near_centre,
    scores,
)
from torch import Tensor
from torchvision.ops import box_iou

# -- geometry --------------------------------------------------------------------------------------


def _apart(boxes: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(G, N, 2) differences of the centres and of the sides, and sums of the sides."""
    side, own = boxes[:, None, 2:] - boxes[:, None, :2], anchors[:, 2:] - anchors[:, :2]
    return centres(boxes)[:, None] - centres(anchors), side - own, side + own


def by_simd(scene: Scene) -> Tensor:
    """MMDetection's MaxIoU of a region proposal network, on SimD's similarity."""
    away, change, both = _apart(scene.boxes, scene.anchors)
    unit = both / both.new_tensor([6.13, 4.59])
    distance = (away / unit).square().sum(-1).sqrt() + (change / unit).square().sum(-1).sqrt()
    similar = torch.exp(-distance)
    top, own = similar.max(0)
    labels = torch.where(top >= 0.7, own, torch.where(top < 0.3, BACKGROUND, IGNORED))
    most = similar.amax(1, keepdim=True)
    target, anchor = ((similar == most) & (most >= 0.3)).nonzero(as_tuple=True)
    rescued = last(len(labels), anchor, target)
    return torch.where(rescued >= 0, rescued, labels)


def ranked(scene: Scene, k: int = 2, negative: float = 0.3) -> Tensor:
    """NWD-RKA: the k most similar anchors of every object."""
    away, change, _ = _apart(scene.boxes, scene.anchors)
    nwd = torch.exp(-(away.square().sum(-1) + change.square().sum(-1) / 4).sqrt() / 12.8)
    first = nwd.topk(min(k, nwd.shape[1]), dim=1).indices
    chosen = torch.zeros_like(nwd, dtype=torch.bool).scatter_(1, first, value=True)
    labels = best(nwd, chosen & (nwd > 0))
    return torch.where((labels < 0) & (nwd.amax(0) >= negative), IGNORED, labels)


def size_iou(scene: Scene, base: float = 0.25, slope: float = 0.15, size: float = 12.0) -> Tensor:
    """CFINet's: what an object asks for grows with its size."""
    top, own = box_iou(scene.boxes, scene.anchors).max(0)
    asked = (base + slope * (areas(scene.boxes).sqrt() / size).log2()).clamp(0.2, 0.7)
    labels = torch.where(top >= asked[own], own, BACKGROUND)
    return torch.where((labels < 0) & (top >= 0.2), IGNORED, labels)


# -- predictions -----------------------------------------------------------------------------------


def _quality(scene: Scene, iou: Tensor, alpha: float) -> Tensor:
    """(G, N) score^(1 - alpha) * IoU^alpha."""
    return scene.logits.sigmoid().T[scene.labels] ** (1 - alpha) * iou**alpha


def atss_by_predictions(scene: Scene, k: int = 9, alpha: float = 0.8) -> Tensor:
    """DDOD's: ATSS's candidates, judged by what they predict."""
    return adaptive(scene, _quality(scene, box_iou(scene.boxes, scene.predicted), alpha), k)


def tal_one(scene: Scene, beta: float = 6.0) -> Tensor:
    """TOOD's rule, of which every object keeps its best after the contests."""
    own = tal(scene, beta=beta)
    anchor = (own >= 0).nonzero()[:, 0]
    iou = box_iou(scene.boxes, scene.predicted[anchor])
    metric = scene.logits[anchor].sigmoid().T[scene.labels].mul_(iou**beta)
    metric.masked_fill_(own[anchor] != torch.arange(len(iou))[:, None], -1)
    labels = torch.full_like(own, BACKGROUND)
    if len(anchor):
        top, place = metric.max(1)
        labels[anchor[place[top >= 0]]] = (top >= 0).nonzero()[:, 0]
    return labels


def poto(scene: Scene, alpha: float = 0.8, radius: float = 1.5) -> Tensor:
    """DeFCN's: scipy's ``linear_sum_assignment`` on all qualities."""
    from scipy.optimize import linear_sum_assignment

    point = centres(scene.anchors)
    quality = _quality(scene, box_iou(scene.boxes, scene.predicted), alpha)
    quality[~(inside(point, scene.boxes) & near_centre(scene, point, radius))] = -1
    row, column = map(torch.from_numpy, linear_sum_assignment(quality.numpy(), maximize=True))
    real = quality[row, column] >= 0
    labels = torch.full((len(point),), BACKGROUND)
    labels[column[real]] = row[real]
    return labels


def one_to_few(scene: Scene, k: int = 7, alpha: float = 0.8) -> Tensor:
    """The k anchors of most quality inside every object; contests by quality."""
    quality = _quality(scene, box_iou(scene.boxes, scene.predicted), alpha)
    quality *= inside(centres(scene.anchors), scene.boxes)
    first = quality.topk(min(k, quality.shape[1]), dim=1).indices
    chosen = torch.zeros_like(quality, dtype=torch.bool).scatter_(1, first, value=True)
    return best(quality, chosen & (quality > 0))


def aligned_ota(scene: Scene, k: int = 10, radius: float = 2.5) -> Tensor:
    """SimOTA's candidates; the class cost asks for the IoU."""
    point = centres(scene.anchors)
    within, centre = inside(point, scene.boxes), near_centre(scene, point, radius)
    valid = (within | centre).any(0).nonzero()[:, 0]
    if len(valid) == 0:
        return torch.full((len(point),), BACKGROUND)
    iou, logits = box_iou(scene.boxes, scene.predicted[valid]), scene.logits[valid]
    cost = (
        soft_label_cost(logits, scene.labels, iou)
        - 3 * (iou + 1e-7).log()
        + 1e5 * ~(within & centre)[:, valid]
    )
    forbidden = ~(within | centre)[:, valid] & (iou == 0)
    return spread_out(taken(cost, dynamic_k(iou, k), forbidden), valid, len(point))


def yolov7(scene: Scene, k: int = 10) -> Tensor:
    """YOLOv5's candidates of all objects, of which every object takes the cheapest."""
    anchor, target = yolov5_pairs(scene)
    valid, place = anchor.unique(return_inverse=True)
    own = torch.zeros(len(scene.boxes), len(valid), dtype=torch.bool)
    own[target, place] = True
    iou = box_iou(scene.boxes, scene.predicted[valid])
    cost = root_score_cost(scores(scene)[valid], scene.labels) - 3 * (iou + 1e-8).log()
    labels = taken(cost, dynamic_k(iou, k), ~own & (iou == 0))
    return spread_out(labels, valid, len(scene.anchors))


def hungarian_product(scene: Scene, power: float = 4.0) -> Tensor:
    """DEIMv2's matcher: scipy's ``linear_sum_assignment`` on score * IoU^4."""
    from scipy.optimize import linear_sum_assignment

    worth = box_iou(scene.boxes, scene.predicted) ** power
    worth *= scene.logits.sigmoid().T[scene.labels]
    row, column = linear_sum_assignment(worth.numpy(), maximize=True)
    labels = torch.full((len(scene.anchors),), BACKGROUND)
    labels[torch.from_numpy(column)] = torch.from_numpy(row)
    return labels
