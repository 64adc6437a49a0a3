"""k-means of box sizes: the way of YOLOv2 and of those who followed it."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from kedge.boxes import side_iou
from kedge.design.points import distinct
from kedge.design.sketch import Sketch, as_array
from kedge.design.threads import one_thread

_MANY = 100_000  # more boxes than this are merged into bins of 1/32 octave first
_COARSE = 8  # bins per octave on which such many boxes try their starts
Move = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@one_thread()
def kmeans(
    wh: Any,
    k: int,
    metric: Literal["iou", "euclidean"] = "iou",
    update: Literal["mean", "median"] = "mean",
    restarts: int = 10,
    seed: int = 0,
    weights: Any = None,
    iterations: int = 300,
) -> Tensor:
    """``k`` shapes (k, 2) float32, sorted by area: the best of ``restarts`` runs of k-means.

    ``wh`` (n, 2) in pixels, optional ``weights`` (n,). Starts are distinct boxes drawn far apart
    (k-means++). A box belongs to the shape with the highest IoU (or the smallest Euclidean
    distance); a shape becomes the ``mean`` or the ``median`` of its boxes. Since IoU is not a
    metric an update may make things worse: the best set of shapes met in any iteration of any
    restart is returned.

    Edge cases: boxes with a side that is not positive and finite are left out. A shape without
    boxes stays where it is. With fewer distinct boxes than ``k`` these are the shapes, and the
    rest are rescaled copies of the commonest, so that no two are equal. More than 100,000 boxes
    are merged into bins of 1/32 octave first, with exact sums, so means stay exact up to the
    membership of a bin.

    Errors: ``ValueError`` for ``k < 1``, an unknown metric or update, or no usable box.
    Source: Redmon and Farhadi, arXiv:1612.08242, section 2 ("dimension clusters").
    """
    _check(k, metric, update, restarts)
    boxes, count = _boxes(wh, weights)
    if len(boxes) == 0:
        raise ValueError("wh: there is no box with positive, finite sides to cluster")
    sketch = Sketch.of(boxes, weight=count) if len(boxes) > _MANY else None
    boxes, count = distinct(boxes, count) if sketch is None else sketch.points()
    if len(boxes) <= k:
        return by_area(fill_up(boxes[count.argsort(descending=True, stable=True)], k))
    coarse = (boxes, count) if sketch is None else sketch.points(_COARSE)
    coarse = coarse if len(coarse[0]) > k else (boxes, count)
    generator = torch.Generator().manual_seed(seed)
    move = _means if update == "mean" else _medians
    starts = _start(*coarse, k, metric, restarts, generator)
    shapes = _lloyd(*coarse, starts, metric, move, iterations)
    if sketch is not None:
        shapes = _lloyd(boxes, count, shapes[:1], metric, move, iterations)
    return by_area(shapes[0])


def _check(k: int, metric: str, update: str, restarts: int) -> None:
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    if restarts < 1:
        raise ValueError(f"restarts: expected at least 1, got {restarts}")
    if metric not in ("iou", "euclidean"):
        raise ValueError(f"metric: expected 'iou' or 'euclidean', got {metric!r}")
    if update not in ("mean", "median"):
        raise ValueError(f"update: expected 'mean' or 'median', got {update!r}")


def _float(values: Any) -> Tensor:
    return torch.as_tensor(as_array(values)).float()


def _boxes(wh: Any, weights: Any) -> tuple[Tensor, Tensor]:
    sizes = _float(wh)
    if sizes.numel() and (sizes.ndim != 2 or sizes.shape[1] != 2):
        raise ValueError(f"wh: expected (n, 2) widths and heights, got {tuple(sizes.shape)}")
    sizes = sizes.reshape(-1, 2)
    count = torch.ones(len(sizes)) if weights is None else _float(weights)
    good = (torch.isfinite(sizes) & (sizes > 0)).all(1) & (count > 0)
    return sizes[good], count[good]


def fill_up(shapes: Tensor, k: int) -> Tensor:
    """Exactly ``k`` shapes from fewer distinct ones (heaviest first): the rest are rescaled copies.

    A head with k anchors needs k shapes, and equal ones are of no use to it: the extra shapes are
    the given ones at 2^(1/3), 2^(-1/3), 2^(2/3), ... of their size.
    """
    rounds = [shapes]
    for i in range(1, -(-k // len(shapes))):
        octaves = (i + 1) // 2 / 3 * (1 if i % 2 else -1)
        rounds.append(shapes * 2**octaves)
    return torch.cat(rounds)[:k]


def by_area(shapes: Tensor) -> Tensor:
    """The shapes (k, 2) in order of area (ties: of width)."""
    return shapes[area_order(shapes)]


def area_order(shapes: Tensor) -> Tensor:
    """(k,): which shape is the smallest (ties: the narrowest), and so on."""
    key = [(float(shape.prod()), float(shape[0])) for shape in shapes]
    return torch.tensor(sorted(range(len(key)), key=key.__getitem__))


def _nearest(boxes: Tensor, shapes: Tensor, metric: str) -> tuple[Tensor, Tensor]:
    """Best similarity (R, n) and index of the shape, over shapes (R, k, 2); ties to the first."""
    w, h = boxes[:, 0], boxes[:, 1]
    best = torch.full((len(shapes), len(boxes)), -torch.inf)
    index = torch.zeros(best.shape, dtype=torch.int64)
    for i in range(shapes.shape[1]):
        sw, sh = shapes[:, i, :1], shapes[:, i, 1:]
        euclidean = metric == "euclidean"
        value = -((w - sw) ** 2 + (h - sh) ** 2) if euclidean else side_iou(w, h, sw, sh)
        index.masked_fill_(value > best, i)
        best = torch.maximum(best, value)
    return best, index


def _start(
    boxes: Tensor, count: Tensor, k: int, metric: str, runs: int, generator: torch.Generator
) -> Tensor:
    """Boxes (R, k, 2) drawn far apart: k-means++ with 1 - IoU or the squared distance."""
    pick = torch.multinomial(count.expand(runs, -1), 1, generator=generator)
    shapes = boxes[pick]
    for _ in range(k - 1):
        best, _ = _nearest(boxes, shapes, metric)
        far = (1 - best).clamp(min=0) ** 2 if metric == "iou" else -best
        chance = count * far + 1e-12 * count.max()
        pick = torch.multinomial(chance, 1, generator=generator)
        shapes = torch.cat([shapes, boxes[pick]], 1)
    return shapes


def _lloyd(
    boxes: Tensor, count: Tensor, shapes: Tensor, metric: str, move: Move, iterations: int
) -> Tensor:
    """Lloyd's iteration of all starts (R, k, 2) at once: the best each met, best start first.

    A start is finished when its memberships repeat; the rest go on.
    """
    kept, record = shapes.clone(), torch.full((len(shapes),), -torch.inf)
    active = torch.arange(len(shapes))
    before = torch.full((len(shapes), len(boxes)), -1)
    for _ in range(iterations + 1):
        best, index = _nearest(boxes, shapes[active], metric)
        score = best @ count / count.sum()
        better = score > record[active]
        record[active[better]] = score[better]
        kept[active[better]] = shapes[active[better]]
        going = (index != before).any(1)
        active, index, before = active[going], index[going], index[going]
        if len(active) == 0:
            break
        shapes[active] = move(boxes, count, index, shapes[active])
    return kept[record.argsort(descending=True, stable=True)]


def _means(boxes: Tensor, count: Tensor, index: Tensor, shapes: Tensor) -> Tensor:
    """The weighted mean of every shape's boxes; a shape without boxes stays."""
    columns = torch.stack([count, count * boxes[:, 0], count * boxes[:, 1]]).double()
    sums = torch.zeros(3, *shapes.shape[:2], dtype=torch.float64)
    for total, column in zip(sums, columns, strict=True):
        total.scatter_add_(1, index, column.expand(len(shapes), -1))
    mean = (sums[1:] / sums[0].clamp(min=1e-30)).permute(1, 2, 0).float()
    return torch.where((sums[0] > 0)[..., None], mean, shapes)


def _medians(boxes: Tensor, count: Tensor, index: Tensor, shapes: Tensor) -> Tensor:
    """The weighted (lower) median of every shape's boxes; a shape without boxes stays."""
    result = shapes.clone()
    for axis in range(2):
        order = boxes[:, axis].argsort(stable=True)
        value, amount, member = boxes[order, axis], count[order].double(), index[:, order]
        for i in range(shapes.shape[1]):
            running = (amount * (member == i)).cumsum(1)
            half = running[:, -1:] / 2
            place = torch.searchsorted(running, half).clamp(max=len(value) - 1)[:, 0]
            found = value[place]
            result[:, i, axis] = torch.where(half[:, 0] > 0, found, shapes[:, i, axis])
    return result
