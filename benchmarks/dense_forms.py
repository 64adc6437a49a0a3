"""The geometric rules, dense: all anchors with all objects, one image at a time.

The rules of a cell (BestInCell, YOLOv3, YOLOv5, SoftCell) compare shapes with objects in their
released codes too, not anchors; what makes them dense is the ignore rule of the predictions, where
it is asked for.
"""

import torch
from dense_scene import (
    BACKGROUND,
    IGNORED,
    Scene,
    centres,
    heaviest,
    inside,
    last,
    near_centre,
    smallest,
)
from torch import Tensor
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.ops import box_iou


def max_iou(scene: Scene) -> Tensor:
    """torchvision's."""
    return Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(scene.boxes, scene.anchors))


def ssd(scene: Scene) -> Tensor:
    """torchvision's."""
    return SSDMatcher(0.5)(box_iou(scene.boxes, scene.anchors))


def ssd_greedy(scene: Scene) -> Tensor:
    """The original code: the largest IoU of what is still free, again and again.

    Every object remembers its best free anchor, so that a round looks at objects, not at pairs.
    """
    iou = box_iou(scene.boxes, scene.anchors)
    top, own = iou.max(0)
    labels = torch.where(top >= 0.5, own, BACKGROUND)
    value, anchor = iou.max(1)
    while (highest := value.max()) > 1e-6:
        tied = (value == highest).nonzero()[:, 0]
        chosen = tied[anchor[tied].argmin()]
        taken = anchor[chosen]
        labels[taken] = chosen
        iou[:, taken], value[chosen] = -1, -1
        for again in ((anchor == taken) & (value >= 0)).nonzero()[:, 0].tolist():
            value[again], anchor[again] = iou[again].max(0)
    return labels


def atss(scene: Scene, k: int = 9) -> Tensor:
    """As the released code: all IoU, all distances, top k per level."""
    return adaptive(scene, box_iou(scene.boxes, scene.anchors), k)


def adaptive(scene: Scene, value: Tensor, k: int) -> Tensor:
    """ATSS with any ``value`` (G, N) in the place of the IoU, which is overwritten."""
    point = centres(scene.anchors)
    away = torch.cdist(
        centres(scene.boxes), point, compute_mode="donot_use_mm_for_euclid_dist"
    ).split(list(scene.grid.anchors_per_level), 1)
    near, start = [], 0
    for part, per in zip(away, scene.grid.shapes_per_level):
        count = part.shape[1]
        near.append(part.topk(min(k * per, count), dim=1, largest=False).indices + start)
        start += count
    near = torch.cat(near, 1)
    own = value.gather(1, near)
    keep = own >= own.mean(1, keepdim=True) + own.std(1, keepdim=True)
    allowed = torch.zeros_like(value, dtype=torch.bool).scatter_(1, near, keep)
    allowed &= inside(point, scene.boxes, 0.01)
    top, index = value.masked_fill_(~allowed, -1).max(0)
    return torch.where(top >= 0, index, BACKGROUND)


def fcos(scene: Scene, radius: float | None = None) -> Tensor:
    """As torchvision: all points with all objects, 4 to 8 strides."""
    point, stride = centres(scene.anchors), scene.grid.stride()[:, 0]
    x, y = point.unbind(1)
    x1, y1, x2, y2 = scene.boxes[:, :, None].unbind(1)
    sides = torch.stack([x - x1, y - y1, x2 - x, y2 - y])
    low, high = 4 * stride, 8 * stride
    low[: scene.grid.anchors_per_level[0]] = 0
    high[-scene.grid.anchors_per_level[-1] :] = torch.inf
    far = sides.amax(0)
    allowed = (sides.amin(0) > 0) & (far >= low) & (far <= high)
    if radius is not None:
        allowed &= near_centre(scene, point, radius)
    return smallest(allowed, scene.boxes)


def scaled(boxes: Tensor, by: float) -> Tensor:
    """The boxes scaled about their centre."""
    centre, half = centres(boxes), (boxes[..., 2:] - boxes[..., :2]) * by / 2
    return torch.cat([centre - half, centre + half], -1)


def centre_region(scene: Scene) -> Tensor:
    """All points with all middles and rings."""
    point = centres(scene.anchors)
    labels = smallest(inside(point, scaled(scene.boxes, 0.2)), scene.boxes)
    ring = inside(point, scaled(scene.boxes, 0.5)).any(0)
    return torch.where((labels < 0) & ring, IGNORED, labels)


def similarity(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(G, N) RFLA's: 1 / (1 + KL) of the boxes as Gaussians."""
    x, y, w, h = xywh(anchors).unbind(1)
    gx, gy, gw, gh = xywh(boxes)[:, :, None].unbind(1)
    apart = (w / gw) ** 2 + (h / gh) ** 2 + (2 * (x - gx) / gw) ** 2 + (2 * (y - gy) / gh) ** 2
    return 1 / (apart / 2 - (w / gw).log() - (h / gh).log())  # 1 + (... - 2) / 2


def rfla(scene: Scene) -> Tensor:
    """Two similarity matrices: top 3, then the top of smaller fields; later objects overwrite."""
    value, count = similarity(scene.anchors, scene.boxes), len(scene.anchors)
    index = torch.arange(len(scene.boxes))
    labels = last(count, value.topk(3, dim=1).indices, index[:, None].expand(-1, 3))
    labels = torch.where((labels < 0) & (value.amax(0) >= 0.8), IGNORED, labels)
    near = similarity(scaled(scene.anchors, 0.9), scene.boxes).argmax(1)
    more = last(count, near, index)
    return torch.where((labels < 0) & (more >= 0), more, labels)


def xywh(boxes: Tensor) -> Tensor:
    """Centre and size (..., 4)."""
    return torch.cat([centres(boxes), boxes[..., 2:] - boxes[..., :2]], -1)


def uniform(scene: Scene) -> Tensor:
    """All L1 distances, the 4 nearest anchors, and the 4 nearest predictions if there are any.

    An anchor that several objects want goes to the nearest one.
    """
    goal = xywh(scene.boxes)
    away = torch.cdist(goal, xywh(scene.anchors), p=1)
    wanted = torch.zeros_like(away, dtype=torch.bool)
    wanted.scatter_(1, away.topk(4, dim=1, largest=False).indices, True)
    if scene.predicted is not None:
        other = torch.cdist(goal, xywh(scene.predicted), p=1)
        wanted.scatter_(1, other.topk(4, dim=1, largest=False).indices, True)
        away = torch.minimum(away, other)
    top, labels = away.masked_fill_(~wanted, torch.inf).min(0)
    labels = torch.where(top < torch.inf, labels, BACKGROUND)
    own = box_iou(scene.boxes, scene.anchors).gather(0, labels.clamp(min=0)[None])[0]
    labels = torch.where((labels >= 0) & (own < 0.15), IGNORED, labels)
    return _well_predicted(scene, labels, 0.7)


# -- the rules of a cell ---------------------------------------------------------------------------


def _well_predicted(scene: Scene, labels: Tensor, above: float) -> Tensor:
    """Background whose predicted box overlaps some object by more than ``above`` is ignored."""
    if scene.predicted is None:
        return labels
    good = box_iou(scene.boxes, scene.predicted).amax(0) > above
    return torch.where((labels < 0) & good, IGNORED, labels)


def _cells(scene: Scene) -> Tensor:
    """(G, S) the anchor of every shape in the cell of the object's centre."""
    grid, centre = scene.grid, centres(scene.boxes)
    stride = torch.tensor([level.strides[::-1] for level in grid.levels], dtype=centre.dtype)
    size = torch.tensor([size[::-1] for size in grid.sizes])
    cell = (centre[:, None] / stride).floor().long().clamp(min=0).minimum(size - 1)
    anchors, start = [], 0
    for level, per in enumerate(grid.shapes_per_level):
        place = cell[:, level, 1] * size[level, 0] + cell[:, level, 0]
        anchors.append(start + place[:, None] * per + torch.arange(per))
        start += grid.anchors_per_level[level]
    return torch.cat(anchors, 1)


def best_shape(scene: Scene, ignore_above: float) -> Tensor:
    """YOLOv2's and YOLOv3's: of all shapes the best for every object, in the cell of its centre."""
    side, shape = scene.boxes[:, None, 2:] - scene.boxes[:, None, :2], scene.grid.shapes
    shared = torch.minimum(side, shape).prod(-1)
    fit = shared / (side.prod(-1) + shape.prod(-1) - shared)
    chosen = _cells(scene).gather(1, fit.argmax(1, keepdim=True))[:, 0]
    labels = last(len(scene.anchors), chosen, torch.arange(len(chosen)))
    return _well_predicted(scene, labels, ignore_above)


def yolov5_pairs(scene: Scene) -> tuple[Tensor, Tensor]:
    """The released ``build_targets``: all shapes within a factor of 4, in up to three cells; (P,)
    anchors and objects."""
    anchor = _cells(scene)
    grid, side = scene.grid, scene.boxes[:, None, 2:] - scene.boxes[:, None, :2]
    fits = torch.maximum(side / grid.shapes, grid.shapes / side).amax(-1) < 4
    level = torch.arange(grid.num_levels).repeat_interleave(torch.tensor(grid.shapes_per_level))
    stride = torch.tensor([each.strides[::-1] for each in grid.levels], dtype=side.dtype)
    size = torch.tensor([size[::-1] for size in grid.sizes])
    at = centres(scene.boxes)[:, None] / stride
    within = ((at >= 0) & (at < size)).all(-1, keepdim=True)
    before = (at % 1 < 0.5) & (at > 1) & within
    after = (at % 1 > 0.5) & (at < size - 1) & within
    step = torch.tensor(grid.shapes_per_level)[:, None] * torch.stack(
        [torch.ones(len(size), dtype=torch.int64), size[:, 0]], 1
    )  # from a cell to the next one, and to the next row's
    found = [(fits, anchor)]
    for axis in (0, 1):
        found.append((fits & before[:, level, axis], anchor - step[level, axis]))
        found.append((fits & after[:, level, axis], anchor + step[level, axis]))
    anchor = torch.cat([where[mask] for mask, where in found])
    return anchor, torch.cat([mask.nonzero()[:, 0] for mask, _ in found])


def yolov5(scene: Scene) -> Tensor:
    """Labels of these pairs: of several objects the first."""
    anchor, target = yolov5_pairs(scene)
    return heaviest(len(scene.anchors), anchor, target, torch.ones(len(anchor)))


def soft_cell(scene: Scene, temperature: float = 2.0) -> Tensor:
    """Shares by squared log distance of the shapes; labels are the largest share's."""
    side = (scene.boxes[:, 2:] - scene.boxes[:, :2]).clamp(min=1e-2)
    away = (scene.grid.shapes.log() - side.log()[:, None]).square().sum(-1)
    share = (-away / temperature).softmax(1)
    target, shape = (share >= 1e-4).nonzero(as_tuple=True)
    anchor = _cells(scene)[target, shape]
    return heaviest(len(scene.anchors), anchor, target, share[target, shape])
