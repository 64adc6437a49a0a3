"""The fixed rules in their plain dense form, one image at a time: anchors x objects, no cleverness.

Written from the CATALOGUE's definitions, independent of the pair queries. Every function takes the
anchor boxes (N, 4), the objects (g, 4) and what the rule needs besides, and gives a list of
(anchor, object) and a set of ignored anchors. The benchmarks time the same functions.
"""

import torch
from torch import Tensor
from torchvision.ops import box_iou

from kedge import Assignment, Grid, Targets

Outcome = tuple[list[tuple[int, int]], set[int]]


def iou_matrix(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(N, g), 0 instead of NaN for two boxes without area."""
    return box_iou(anchors, boxes).nan_to_num(0.0)


def from_labels(labels: Tensor) -> Outcome:
    """Of (N,) codes: >= 0 object, -1 background, -2 ignored."""
    positive = (labels >= 0).nonzero()[:, 0]
    pairs = list(zip(positive.tolist(), labels[positive].tolist()))
    return sorted(pairs), set((labels == -2).nonzero()[:, 0].tolist())


def best_labels(value: Tensor, allowed: Tensor) -> Tensor:
    """(N,) per anchor the allowed object of largest value, the lowest among equals; else -1."""
    value = torch.where(allowed, value, -torch.inf)
    return torch.where(allowed.any(1), value.argmax(1), -1)


def max_iou(anchors, boxes, positive, negative, low_quality, min_low_quality=0.0) -> Outcome:
    labels = torch.full((len(anchors),), -1)
    if len(boxes):
        iou = iou_matrix(anchors, boxes)
        top, own = iou.max(1)
        labels[(top >= negative) & (top < positive)] = -2
        labels[top >= positive] = own[top >= positive]
        for i in range(len(boxes)) if low_quality != "none" else ():
            best = iou[:, i].max()
            if best > 0 and best >= min_low_quality:
                tied = iou[:, i] == best
                labels[tied] = own[tied] if low_quality == "own" else i
    return from_labels(labels)


def ssd(anchors, boxes, threshold, greedy) -> Outcome:
    labels = torch.full((len(anchors),), -1)
    if len(boxes):
        iou = iou_matrix(anchors, boxes)
        labels = best_labels(iou, iou >= threshold)
        if greedy:
            left = iou.clone()
            while left.max() > 1e-6:
                at = int(left.argmax())  # the lowest anchor, then the lowest object
                anchor, i = divmod(at, len(boxes))
                labels[anchor] = i
                left[anchor], left[:, i] = -1, -1
        else:
            for i in range(len(boxes)):
                if iou[:, i].max() > 0:
                    labels[iou[:, i].argmax()] = i
    return from_labels(labels)


def atss(grid: Grid, boxes, k, margin, above=0.0) -> Outcome:
    """``above``: added to the threshold."""
    anchors, points, level = grid.boxes(), grid.points(), grid.level()
    if not len(boxes):
        return [], set()
    iou = iou_matrix(anchors, boxes)
    centre = (boxes[:, :2] + boxes[:, 2:]).double() / 2
    away = (points.double()[:, None] - centre).square().sum(-1)
    allowed = torch.zeros_like(iou, dtype=torch.bool)
    for i in range(len(boxes)):
        near = []
        for step, per in enumerate(grid.shapes_per_level):
            own = (level == step).nonzero()[:, 0]
            near.append(own[away[own, i].argsort(stable=True)[: k * per]])
        near = torch.cat(near)
        value = iou[near, i].double()
        spread = value.std() if len(near) > 1 else 0
        # in single precision, as the comparison is
        allowed[near[iou[near, i] >= (value.mean() + spread + above).float()], i] = True
    return from_labels(best_labels(iou, allowed & inside(points, boxes, margin)))


def inside(points, boxes, margin=0.0) -> Tensor:
    """(N, g)."""
    low = (points[:, None] - boxes[:, :2] > margin).all(-1)
    return low & (boxes[:, 2:] - points[:, None] > margin).all(-1)


def box_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def fcos(grid: Grid, boxes, ranges, radius, strict) -> Outcome:
    if not len(boxes):
        return [], set()
    points = grid.points()
    low, high = torch.tensor(ranges, dtype=points.dtype)[grid.level()].unbind(1)
    sides = torch.cat([points[:, None] - boxes[:, :2], boxes[:, 2:] - points[:, None]], -1)
    far = sides.amax(-1)
    if strict:
        allowed = (far > low[:, None]) & (far < high[:, None])
    else:
        allowed = (far >= low[:, None]) & (far <= high[:, None])
    allowed &= sides.amin(-1) > 0
    if radius is not None:
        away = (points[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs()
        allowed &= (away < radius * grid.stride()[:, None]).all(-1)
    return from_labels(best_labels(-box_area(boxes).expand(len(points), -1), allowed))


def scaled(boxes: Tensor, by: float) -> Tensor:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * by / 2
    return torch.cat([centre - half, centre + half], 1)


def centre_region(grid: Grid, boxes, positive, ignored, ranges) -> Outcome:
    if not len(boxes):
        return [], set()
    points, level = grid.points(), grid.level()
    answers = torch.ones(len(points), len(boxes), dtype=torch.bool)
    side = box_area(boxes).sqrt()
    if ranges is not None:
        low, high = torch.tensor(ranges, dtype=boxes.dtype)[level].unbind(1)
        answers = (side >= low[:, None]) & (side <= high[:, None])
    middle = inside(points, scaled(boxes, positive)) & answers
    ring = inside(points, scaled(boxes, ignored)) & answers
    labels = best_labels(-box_area(boxes).expand(len(points), -1), middle)
    labels[(labels < 0) & ring.any(1)] = -2
    return from_labels(labels)


def _cell(grid: Grid, box: Tensor, level: int) -> tuple[float, float, int, int]:
    sy, sx = grid.levels[level].strides
    rows, columns = grid.sizes[level]
    x = float((box[0] + box[2]) / 2 / sx)
    y = float((box[1] + box[3]) / 2 / sy)
    return x, y, min(max(int(x // 1), 0), columns - 1), min(max(int(y // 1), 0), rows - 1)


def _anchor(grid: Grid, level: int, y: int, x: int, shape: int) -> int:
    first = sum(grid.anchors_per_level[:level])
    return first + (y * grid.sizes[level][1] + x) * grid.shapes_per_level[level] + shape


def _level_shapes(grid: Grid) -> list[Tensor]:
    return list(grid.shapes.split(list(grid.shapes_per_level)))


def yolov3(grid: Grid, boxes) -> Outcome:
    labels = torch.full((len(grid),), -1)
    for i, box in enumerate(boxes):
        best, chosen = -1.0, None
        w, h = box[2:] - box[:2]
        for level, shapes in enumerate(_level_shapes(grid)):
            for number, (aw, ah) in enumerate(shapes):
                shared = torch.minimum(w, aw) * torch.minimum(h, ah)
                value = shared / (w * h + aw * ah - shared)
                if value > best:
                    best, chosen = value, (level, number)
        level, number = chosen
        _, _, x, y = _cell(grid, box, level)
        labels[_anchor(grid, level, y, x, number)] = i
    return from_labels(labels)


def yolov5(grid: Grid, boxes, max_ratio, reach) -> Outcome:
    pairs = set()
    for i, box in enumerate(boxes):
        side = box[2:] - box[:2]
        for level, shapes in enumerate(_level_shapes(grid)):
            x, y, column, row = _cell(grid, box, level)
            rows, columns = grid.sizes[level]
            cells = [(row, column)]
            if 0 <= x < columns and 0 <= y < rows:
                if x % 1 < reach and x > 1:
                    cells.append((row, column - 1))
                if y % 1 < reach and y > 1:
                    cells.append((row - 1, column))
                if x % 1 > 1 - reach and x < columns - 1:
                    cells.append((row, column + 1))
                if y % 1 > 1 - reach and y < rows - 1:
                    cells.append((row + 1, column))
            for number, shape in enumerate(shapes):
                worst = torch.maximum(side / shape, shape / side).max()
                if worst < max_ratio:
                    pairs |= {(_anchor(grid, level, *cell, number), i) for cell in cells}
    return sorted(pairs), set()


def xywh(boxes: Tensor) -> Tensor:
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def uniform(anchors, boxes, k, min_iou, ignore_above, predicted=None) -> Outcome:
    if not len(boxes):
        return [], set()
    iou = iou_matrix(anchors, boxes)
    away = (xywh(anchors)[:, None] - xywh(boxes)).abs().sum(-1)
    wanted = torch.zeros_like(away, dtype=torch.bool)
    wanted[away.argsort(dim=0, stable=True)[:k], torch.arange(len(boxes))] = True
    ignored = torch.zeros(len(anchors), dtype=torch.bool)
    if predicted is not None:
        other = (xywh(predicted)[:, None] - xywh(boxes)).abs().sum(-1)
        wanted[other.argsort(dim=0, stable=True)[:k], torch.arange(len(boxes))] = True
        away = torch.minimum(away, other)
        ignored = (iou_matrix(predicted, boxes) > ignore_above).any(1)
    labels = best_labels(-away, wanted)
    labels[(labels < 0) & ignored] = -2
    own = iou.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    labels[(labels >= 0) & (own < min_iou)] = -2
    return from_labels(labels)


def rfd_matrix(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(N, g) receptive field distance, term by term as in CATALOGUE 1.21."""
    a, g = xywh(anchors)[:, None], xywh(boxes)[None]
    (dx, dy), (wa, ha) = (a[..., :2] - g[..., :2]).unbind(-1), a[..., 2:].unbind(-1)
    wg, hg = g[..., 2:].unbind(-1)
    shape = (wa / wg) ** 2 + (ha / hg) ** 2 + 2 * (wg / wa).log() + 2 * (hg / ha).log() - 2
    return 1 / (1 + (shape + 4 * (dx / wg) ** 2 + 4 * (dy / hg) ** 2) / 2)


def rfla(anchors, boxes, first, second, shrink, ignore_above) -> Outcome:
    labels = torch.full((len(anchors),), -1)
    if not len(boxes):
        return from_labels(labels)
    value = rfd_matrix(anchors, boxes)
    labels[value.amax(1) >= ignore_above] = -2
    for i in range(len(boxes)):
        labels[value[:, i].argsort(descending=True, stable=True)[:first]] = i
    free = labels < 0
    value = rfd_matrix(scaled(anchors, shrink), boxes)
    for i in range(len(boxes)):
        near = value[:, i].argsort(descending=True, stable=True)[:second]
        labels[near[free[near]]] = i
    return from_labels(labels)


def per_image(targets: Targets, grid: Grid, rule) -> Outcome:
    """``rule(boxes of an image, image)`` for every image, in flat anchor ids."""
    pairs, ignored = [], set()
    for image in range(targets.batch_size):
        rows = ((targets.image == image) & ~targets.ignore).nonzero()[:, 0]
        chosen, skipped = rule(targets.boxes[rows], image)
        pairs += [(image * len(grid) + a, int(rows[i])) for a, i in chosen]
        ignored |= {image * len(grid) + a for a in skipped}
    return sorted(pairs), ignored


def outcome(assignment: Assignment) -> Outcome:
    """The same form for an assignment."""
    pairs = sorted(zip(assignment.anchor.tolist(), assignment.target.tolist()))
    return pairs, set(assignment.ignored.tolist())
