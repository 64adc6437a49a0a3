"""What a set of shapes is judged by. Each objective is a similarity and what is made of the best
one.

Every objective looks at ``best``, the largest similarity of a box with any of the shapes, for R
sets of shapes at a time. Gradients flow through the shape that is best for a box (the others do
not matter), so only (R, n) values are differentiated, never (R, k, n).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kedge.boxes import side_iou, side_ratio
from kedge.design.points import Points

TIE = 1e-3  # a share is a step function; this much of a smooth score orders equal shares


class Objective(Protocol):
    """A score of shapes to be made large; 1 is perfect."""

    @property
    def name(self) -> str: ...

    def similarity(self, points: Points, w: Tensor, h: Tensor, shape: Tensor | int) -> Tensor:
        """Similarity of every box with shapes ``w``, ``h``, which broadcast against (n,).

        ``shape`` is the index of the shape (an int, or a tensor that broadcasts likewise), for
        objectives in which shapes stand on different levels.
        """
        ...

    def worth(self, best: Tensor) -> Tensor:
        """What a best similarity is worth, exactly."""
        ...

    def score(self, best: Tensor) -> Tensor:
        """The same for a search: equal shares are told apart by a thousandth of the mean."""
        ...

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        """A differentiable stand-in for ``score``, closer the lower the temperature."""
        ...


def _by_iou(self: Objective, points: Points, w: Tensor, h: Tensor, shape: Tensor | int) -> Tensor:
    del self, shape
    return side_iou(points.w, points.h, w, h)


def _by_ratio(self: Objective, points: Points, w: Tensor, h: Tensor, shape: Tensor | int) -> Tensor:
    del self, shape
    return side_ratio(points.w, points.h, w, h)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanIoU:
    """Mean over the boxes of the best centre-aligned IoU (YOLOv2's and darknet's "avg IoU")."""

    name: str = "mean_iou"

    similarity = _by_iou

    def worth(self, best: Tensor) -> Tensor:
        return best

    score = worth

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        del temperature
        return best


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Share of boxes whose best centre-aligned IoU reaches ``threshold``."""

    threshold: float = 0.5
    name: str = "recall"

    similarity = _by_iou

    def worth(self, best: Tensor) -> Tensor:
        return (best >= self.threshold).float()

    def score(self, best: Tensor) -> Tensor:
        return self.worth(best) + TIE * best

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        return torch.sigmoid((best - self.threshold) / (0.3 * temperature)) + TIE * best


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioFitness:
    """YOLOv5's fitness: mean of the best ratio metric, counted only above 1 / ``threshold``."""

    threshold: float = 4.0
    name: str = "fitness"

    similarity = _by_ratio

    def worth(self, best: Tensor) -> Tensor:
        return best * (best > 1 / self.threshold)

    score = worth

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        gate = torch.sigmoid((best - 1 / self.threshold) / (0.1 * temperature))
        return best * gate


@dataclass(frozen=True, slots=True, kw_only=True)
class BPR:
    """Best possible recall by YOLOv5's metric: share of boxes with a shape within ``threshold``.

    Among sets of equal recall (many reach 1) the one with the larger mean metric is better.
    """

    threshold: float = 4.0
    name: str = "bpr"

    similarity = _by_ratio

    def worth(self, best: Tensor) -> Tensor:
        return (best > 1 / self.threshold).float()

    def score(self, best: Tensor) -> Tensor:
        return self.worth(best) + TIE * best

    def smooth(self, best: Tensor, temperature: float) -> Tensor:
        margin = (best * self.threshold).clamp(min=1e-6).log()
        return torch.sigmoid(margin / (0.5 * temperature)) + TIE * best


def best_shape(
    objective: Objective, points: Points, shapes: Tensor, chunk: int = 65536
) -> tuple[Tensor, Tensor]:
    """Best similarity (R, n) of every box over the shapes (R, k, 2), and which shape gives it.

    Ties go to the first shape. Memory is two (R, n) arrays; the work is done in pieces of ``chunk``
    similarities, which a cache holds.
    """
    best = torch.empty(len(shapes), len(points))
    which = torch.empty(best.shape, dtype=torch.int64)
    number = torch.arange(shapes.shape[1])[:, None]
    step = max(1, chunk // max(shapes[..., 0].numel(), 1))
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        found = objective.similarity(points[part], shapes[..., :1], shapes[..., 1:], number)
        best[:, part], which[:, part] = found.max(dim=1)  # of equals the first
    return best, which


def value(objective: Objective, points: Points, shapes: Tensor) -> Tensor:
    """Weighted mean score (R,) of the sets of shapes (R, k, 2), float64: what searches compare."""
    best, _ = best_shape(objective, points, shapes)
    weight = points.weight.double()
    return objective.score(best).double() @ weight / weight.sum()


def mean_worth(objective: Objective, points: Points, shapes: Tensor) -> float:
    """The objective of the shapes (k, 2), as it is told to people."""
    best, _ = best_shape(objective, points, shapes[None])
    weight = points.weight.double()
    return float(objective.worth(best[0]).double() @ weight / weight.sum())
