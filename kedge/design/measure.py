"""Every number by which sets of shapes are compared."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from kedge.boxes import side_iou, side_ratio
from kedge.design.placed import Placed
from kedge.design.points import Points

_PIECE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How well shapes fit boxes; shares and means over all boxes.

    ``mean_best_iou``: centre-aligned. ``recall``: share with a centre-aligned IoU >= 0.5. ``bpr``,
    ``aat`` and ``fitness`` by YOLOv5's ratio metric at threshold 4: share of boxes with a shape
    within it, shapes within it per box, and its score. ``placed_recall``: share with an IoU at the
    threshold on the real grid; None when no grid was given.
    """

    mean_best_iou: float
    recall: float
    bpr: float
    aat: float
    fitness: float
    placed_recall: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Plain numbers by name."""
        return asdict(self)


def measure(
    points: Points, shapes: Tensor, placed: Placed | None = None, ratio: float = 4.0
) -> Metrics:
    """All metrics of ``shapes`` (k, 2) on the points; NaN where there are none."""
    total = float(points.weight.double().sum())
    if total == 0:
        nan = float("nan")
        return Metrics(mean_best_iou=nan, recall=nan, bpr=nan, aat=nan, fitness=nan)
    sums = torch.zeros(6, dtype=torch.float64)
    for start in range(0, len(points), _PIECE):
        part = points[slice(start, start + _PIECE)]
        sums += _sums(part, shapes, placed, ratio)
    mean = (sums / total).tolist()
    return Metrics(
        mean_best_iou=mean[0],
        recall=mean[1],
        bpr=mean[2],
        aat=mean[3],
        fitness=mean[4],
        placed_recall=None if placed is None else mean[5],
    )


def _sums(part: Points, shapes: Tensor, placed: Placed | None, ratio: float) -> Tensor:
    iou = torch.zeros(len(part))
    fit, within, set_down = iou.clone(), iou.clone(), iou.clone()
    for i, (w, h) in enumerate(shapes):
        iou = torch.maximum(iou, side_iou(part.w, part.h, w, h))
        close = side_ratio(part.w, part.h, w, h)
        fit = torch.maximum(fit, close)
        within += close > 1 / ratio
        if placed is not None:
            set_down = torch.maximum(set_down, placed.similarity(part, w, h, i))
    hit = fit > 1 / ratio
    reached = set_down >= (placed.threshold if placed is not None else 1.0)
    rows = torch.stack([iou, (iou >= 0.5).float(), hit.float(), within, fit * hit, reached.float()])
    return rows.double() @ part.weight.double()
