"""Making an objective large: batched gradient ascent on log sizes, and where to start it."""

from collections.abc import Callable

import torch
from torch import Tensor

from kedge.design.objectives import Objective, best_shape
from kedge.design.points import Points

Expand = Callable[[Tensor], Tensor]
_GROW, _SHRINK, _LARGEST, _SMALLEST = 1.2, 0.5, 0.3, 1e-5


def _gradient(
    objective: Objective, points: Points, params: Tensor, expand: Expand, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Exact score (R,), gradient of the smooth score (as ``params``), and the shapes (R, k, 2)."""
    params = params.detach().requires_grad_()
    with torch.enable_grad():
        log_shapes = expand(params)
        shapes = log_shapes.exp()
        with torch.no_grad():
            best, which = best_shape(objective, points, shapes.detach())
            total = points.weight.sum()
            score = objective.score(best) @ points.weight / total
        w, h = shapes[..., 0].gather(1, which), shapes[..., 1].gather(1, which)
        smooth = objective.smooth(objective.similarity(points, w, h, which), temperature)
        (gradient,) = torch.autograd.grad((smooth @ points.weight).sum() / total, params)
    return score, gradient, shapes.detach()


def ascend(
    objective: Objective,
    points: Points,
    start: Tensor,
    *,
    iterations: int = 40,
    step: float = 0.05,
    expand: Expand = lambda params: params,
    temperatures: tuple[float, float] = (1.0, 0.05),
) -> tuple[Tensor, Tensor]:
    """Climb from ``start`` (R, ...): the best parameters met (R, ...) and their exact scores (R,).

    ``expand`` turns parameters into log shapes (R, k, 2); by default they are the log shapes. The
    temperature of the smooth score falls geometrically. Steps follow the sign of the gradient with
    a rate of their own per parameter (Rprop), since the objective is piecewise smooth with kinks
    wherever a shape's side meets a box's side: magnitudes say little there, changes of sign a lot.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm", 1993 (without weight backtracking, keeping the best iterate).
    """
    params = start.clone()
    rate = torch.full_like(params, step)
    before = torch.zeros_like(params)
    kept, record = params.clone(), torch.full((len(params),), -torch.inf)
    first, last = temperatures
    for i in range(iterations + 1):
        heat = first * (last / first) ** (i / max(iterations, 1))
        score, gradient, _ = _gradient(objective, points, params, expand, heat)
        better = score > record
        record = torch.where(better, score, record)
        kept[better] = params[better]
        turn = gradient * before
        rate = torch.where(turn > 0, rate * _GROW, torch.where(turn < 0, rate * _SHRINK, rate))
        rate = rate.clamp(_SMALLEST, _LARGEST)
        before = torch.where(turn < 0, torch.zeros_like(gradient), gradient)
        params = params + rate * before.sign()
    return kept, record


def spread_starts(
    objective: Objective, points: Points, k: int, restarts: int, generator: torch.Generator
) -> Tensor:
    """Log shapes (R, k, 2) to start from: boxes drawn far apart (k-means++ by the similarity).

    Each next shape is a box drawn with probability weight x (1 - best similarity) squared.
    Source: Arthur and Vassilvitskii, "k-means++", 2007, with 1 - similarity as the distance.
    """
    wh = points.wh
    chance = points.weight.expand(restarts, -1)
    shapes = torch.empty(restarts, 0, 2)
    best = torch.zeros(restarts, len(points))
    for i in range(k):
        pick = torch.multinomial(chance, 1, generator=generator)
        shapes = torch.cat([shapes, wh[pick]], 1)
        new = objective.similarity(points, shapes[:, i, :1], shapes[:, i, 1:], i)
        best = torch.maximum(best, new)
        chance = (points.weight * (1 - best).clamp(min=0) ** 2).clamp(min=1e-12)
    return shapes.log()
