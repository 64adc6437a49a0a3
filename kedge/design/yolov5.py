"""YOLOv5's way: Euclidean k-means on the sizes, then evolution of its ratio fitness."""

import numpy as np
import torch
from torch import Tensor

from kedge.design.kmeans import by_area, kmeans
from kedge.design.objectives import RatioFitness, value
from kedge.design.points import Points
from kedge.design.problem import Problem

_MUTATION, _SIGMA, _SMALLEST = 0.9, 0.1, 2.0


def yolov5(problem: Problem, generations: int = 1000, threshold: float = 4.0) -> Tensor:
    """Shapes (k, 2): k-means on whitened sizes, then ``generations`` of accepted mutations.

    Only boxes with a side of at least 2 px count. Each generation multiplies every side by
    1 + U(0, 1) N(0, 1) / 10 with probability 0.9 (clipped to 0.3 .. 3, at least 2 px) and keeps the
    result if the fitness (mean ratio metric above 1 / threshold) is higher.

    Source: the published procedure of YOLOv5's autoanchor (CATALOGUE 2.5). Deviations: k-means is
    ours (30 iterations, one start) and the boxes are those of the problem's last stage.
    """
    points = _large_enough(problem.stages[-1])
    return evolve(points, _euclidean(points, problem), generations, threshold, problem.seed)


def _large_enough(points: Points) -> Points:
    keep = (points.w >= _SMALLEST) | (points.h >= _SMALLEST)
    return points[keep] if bool(keep.any()) else points


def _euclidean(points: Points, problem: Problem) -> Tensor:
    spread = points.wh.std(0, correction=0) if len(points) > 1 else torch.ones(2)
    spread = torch.where(spread > 0, spread, torch.ones(2))
    start = kmeans(
        points.wh / spread,
        problem.k,
        metric="euclidean",
        restarts=30,
        seed=problem.seed,
        weights=points.weight,
    )
    return by_area(start * spread)


def evolve(points: Points, shapes: Tensor, generations: int, threshold: float, seed: int) -> Tensor:
    """Mutate ``shapes`` (k, 2) and keep what is fitter; the result is at least as fit."""
    fitness = RatioFitness(threshold=threshold)
    random = np.random.default_rng(seed)
    best, record = shapes, value(fitness, points, shapes[None]).item()
    for _ in range(generations):
        factor = np.ones(tuple(shapes.shape))
        while (factor == 1).all():
            noise = random.random() * random.standard_normal(factor.shape) * _SIGMA
            factor = (1 + (random.random(factor.shape) < _MUTATION) * noise).clip(0.3, 3.0)
        child = (best * torch.from_numpy(factor).float()).clamp(min=_SMALLEST)
        score = value(fitness, points, child[None]).item()
        if score > record:
            best, record = child, score
    return by_area(best)
