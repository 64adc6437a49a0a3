"""How sets of shapes score on boxes, and how sure a difference is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kedge.design.measure import Metrics, measure
from kedge.design.objectives import Objective, best_shape
from kedge.design.placed import Placed
from kedge.design.points import Points

# Student's t, two-sided 95 %, for 1 to 10 degrees of freedom
_STUDENT = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Candidate(NamedTuple):
    """Shapes (k, 2), the objective that judges them, and the grid they stand on, if any."""

    shapes: Tensor
    objective: Objective
    placed: Placed | None = None


class Trial(NamedTuple):
    """Boxes held out, the image (n,) of each, and the shapes designed without them."""

    points: Points
    image: Tensor
    new: Candidate


def scores(points: Points, candidate: Candidate) -> Tensor:
    """What every box counts (n,) by the candidate's objective, float64."""
    best, _ = best_shape(candidate.objective, points, candidate.shapes[None])
    return candidate.objective.worth(best[0]).double()


def pooled(trials: Sequence[Trial], sets: Sequence[Candidate]) -> Metrics:
    """The metrics of ``sets``, one for the boxes of each trial, over all of these boxes."""
    parts = [
        measure(trial.points, own.shapes, own.placed).to_dict()
        for trial, own in zip(trials, sets, strict=True)
    ]
    weight = [float(trial.points.weight.double().sum()) for trial in trials]
    mean: dict[str, Any] = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        known = [value * w for value, w in zip(values, weight, strict=True) if value is not None]
        mean[name] = sum(known) / sum(weight) if len(known) == len(values) else None
    return Metrics(**mean)


def paired(difference: Tensor, weight: Tensor, image: Tensor) -> tuple[float, float, int]:
    """Weighted mean of a difference, its standard error over images, and how many they are.

    The error is infinite for a single image, which shows nothing of how images differ.
    """
    mean = float(difference @ weight / weight.sum())
    _, index = torch.unique(image, return_inverse=True)
    images = int(index.max()) + 1
    if images < 2:
        return mean, float("inf"), images
    residual = torch.zeros(images, dtype=torch.float64)
    residual.scatter_add_(0, index, (difference - mean) * weight)
    error = (images / (images - 1) * (residual**2).sum()).sqrt() / weight.sum()
    return mean, float(error), images


def certain(images: int) -> float:
    """How many standard errors over ``images`` a difference must be to be sure of it (95 %)."""
    freedom = images - 1
    if freedom < 1:
        return float("inf")
    return _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 1.96 + 2.4 / freedom
