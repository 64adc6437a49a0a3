"""Scenes and plain dense helpers for the tests of prediction-aware strategies.

Everything here is written for one image at a time over all (objects x anchors), the way the papers
and most frameworks do it, so that the sparse strategies have something independent to be equal to.
"""

import torch
from torch import Tensor

from kedge import Grid, Level, Predictions, Targets


def points(image_size=(96, 128), strides=(8, 16, 32), offset=0.5) -> Grid:
    """Anchor points over a small image that is not square."""
    return Grid(image_size, [Level(stride=s, offset=offset) for s in strides])


def boxes_grid(image_size=(96, 128)) -> Grid:
    """Three shapes on each of two levels."""
    return Grid(
        image_size,
        [
            Level(stride=8, shapes=[(16, 16), (23, 11), (11, 23)]),
            Level(stride=16, shapes=[(40, 40), (57, 28), (28, 57)]),
        ],
    )


def scene(
    grid: Grid,
    seed: int,
    counts=(5, 0, 1, 9),
    classes: int = 4,
    side=(2.0, 70.0),
    dtype: torch.dtype = torch.float32,
    objectness: bool = False,
    near: float = 0.2,
) -> tuple[Targets, Predictions]:
    """Random objects; predictions are the anchors' boxes, or some object's, shaken."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    height, width = grid.image_size
    targets = []
    for count in counts:
        size = side[0] + (side[1] - side[0]) * uniform(count, 2) ** 2
        corner = uniform(count, 2) * torch.tensor([width, height]) - size / 2
        labels = torch.randint(classes, (count,), generator=rng)
        targets.append({"boxes": torch.cat([corner, corner + size], 1).to(dtype), "labels": labels})
    packed = Targets.from_list(targets)
    base = grid.boxes().double()
    boxes = []
    for target in targets:
        mine = base + 4 * (uniform(len(grid), 4) - 0.5)
        if len(target["boxes"]):
            chosen = torch.randint(len(target["boxes"]), (len(grid),), generator=rng)
            wanted = target["boxes"][chosen].double() + 6 * (uniform(len(grid), 4) - 0.5)
            mine = torch.where(uniform(len(grid), 1) < near, wanted, mine)
        boxes.append(torch.cat([mine[:, :2], torch.maximum(mine[:, :2] + 0.5, mine[:, 2:])], 1))
    logits = (4 * (uniform(len(counts), len(grid), classes) - 0.6)).to(dtype)
    branch = (3 * (uniform(len(counts), len(grid)) - 0.5)).to(dtype) if objectness else None
    return packed, Predictions.from_tensors(logits, torch.stack(boxes).to(dtype), branch)


def images(grid: Grid, targets: Targets, predictions: Predictions):
    """(image, rows of its objects, boxes (g, 4), labels, logits (N, C), predicted boxes (N, 4))."""
    flat = torch.arange(len(grid))
    for image in range(targets.batch_size):
        rows = ((targets.image == image) & ~targets.ignore).nonzero()[:, 0]
        yield (
            image,
            rows,
            targets.boxes[rows],
            targets.labels[rows],
            predictions.logits[image],
            predictions.boxes_at(image * len(grid) + flat),
        )


def inside(grid: Grid, boxes: Tensor) -> Tensor:
    """(g, N): whether the anchor's centre is strictly inside the box."""
    x, y = grid.points().to(boxes.dtype).unbind(1)
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    return (x - x1 > 0) & (y - y1 > 0) & (x2 - x > 0) & (y2 - y > 0)


def near_centre(grid: Grid, boxes: Tensor, radius: float) -> Tensor:
    """(g, N): whether the anchor's centre is within ``radius`` strides of the box's."""
    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    return ((grid.points() - centre).abs() < radius * grid.stride()).all(-1)


def ids(assignment) -> list[tuple[int, int]]:
    """Sorted (flat anchor, target)."""
    return sorted(zip(assignment.anchor.tolist(), assignment.target.tolist()))


def table(assignment, values: Tensor) -> dict[tuple[int, int], float]:
    """Value of every pair."""
    return dict(zip(zip(assignment.anchor.tolist(), assignment.target.tolist()), values.tolist()))


def dynamic_match(cost: Tensor, overlap: Tensor, most: int) -> Tensor:
    """(G, N) bool: as released, the k cheapest of every object that cost anything finite, k the
    integer part of its ``most`` largest overlaps' sum, >= 1; what several objects want goes to the
    one, of all of them, to which it costs least."""
    k = overlap.sort(1, descending=True).values[:, :most].sum(1).int().clamp(min=1)
    match = torch.zeros_like(cost, dtype=torch.bool)
    for g in range(len(cost)):
        cheap = cost[g].argsort()[: k[g]]
        match[g, cheap[torch.isfinite(cost[g, cheap])]] = True
    cheapest = torch.zeros_like(match).scatter(0, cost.argmin(0)[None], True)
    return torch.where(match.sum(0) > 1, cheapest, match)
