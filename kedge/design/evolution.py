"""Differential evolution, as MMDetection's anchor optimiser runs it."""

import numpy as np
import torch
from torch import Tensor

from kedge.design.kmeans import by_area
from kedge.design.objectives import value
from kedge.design.problem import Problem


def evolution(problem: Problem, generations: int = 1000) -> Tensor:
    """Shapes (k, 2) that scipy's differential evolution finds for the problem's objective.

    Settings are MMDetection's: best1bin, population 15 per variable, tolerance 1e-4, mutation
    (0.5, 1), recombination 0.7. A generation is evaluated as one batch.

    Needs scipy (``pip install "kedge[design]"``). Source:
    ``tools/analysis_tools/optimize_anchors.py`` of MMDetection. Deviation: updating once per
    generation instead of immediately, to evaluate candidates together.
    """
    try:
        from scipy.optimize import differential_evolution
    except ImportError as missing:
        raise ImportError(
            'differential evolution needs scipy: pip install "kedge[design]"'
        ) from missing
    points = problem.stages[-1]
    largest = float(max(points.w.max(), points.h.max()))

    def cost(variables: np.ndarray) -> np.ndarray:
        sets = torch.from_numpy(np.ascontiguousarray(variables.T)).float()
        shapes = sets.reshape(-1, problem.k, 2).clamp(min=1e-3)
        parts = [value(problem.objective, points, part) for part in shapes.split(32)]
        return 1 - torch.cat(parts).numpy()

    found = differential_evolution(
        cost,
        [(0.0, largest)] * (2 * problem.k),
        strategy="best1bin",
        maxiter=generations,
        popsize=15,
        tol=1e-4,
        mutation=(0.5, 1),
        recombination=0.7,
        rng=problem.seed,
        polish=False,
        updating="deferred",
        vectorized=True,
    )
    return by_area(torch.from_numpy(found.x).float().reshape(-1, 2).clamp(min=1e-3))
