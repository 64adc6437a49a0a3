"""Kedge's own search: many starts on a coarse sketch, hops around the best, polished on finer
ones."""

import torch
from torch import Tensor

from kedge.design.ascent import ascend, spread_starts
from kedge.design.placed import Placed
from kedge.design.problem import Problem

Plan = tuple[tuple[int, float, int, float], ...]

# stage, share of the starts that enter, iterations, first step
_SEARCH: Plan = ((0, 1.0, 12, 0.1), (0, 0.375, 30, 0.05), (1, 0.1875, 30, 0.02))
_CLIMB: Plan = (*_SEARCH, (2, 0.05, 30, 0.005))
_HOPS: Plan = ((0, 1.0, 15, 0.05), (1, 0.5, 15, 0.02), (2, 0.2, 20, 0.01), (2, 0.05, 60, 0.005))
_HOP_SHARE, _NEAR, _FAR = 0.375, 0.02, 0.25  # hops per restart; their size in log pixels


def best_of(problem: Problem, extra: Tensor | None = None) -> Tensor:
    """Shapes (k, 2): every start climbs on the coarsest stage, ever fewer survive to finer ones;
    then the best one hops: disturbed copies of it, from slightly to strongly, climb in its place.

    Hops find the better of neighbouring optima, which restarts hardly do: on COCO's boxes 24 of
    them are worth more than a thousand restarts. ``extra`` (e, k, 2) are starts beside the drawn
    ones (anchors in use, published ones), so that the result is at least as good as any of them on
    the coarsest stage. Deterministic by the problem's seed.
    """
    starts = spread_starts(
        problem.objective, problem.stages[0], problem.k, problem.restarts, problem.generator()
    )
    if extra is not None:
        starts = torch.cat([starts, extra.log()])
    if isinstance(problem.objective, Placed):
        starts = _small_on_fine(starts, problem.objective)
    best = survivors(problem, starts, _SEARCH)[0]
    return survivors(problem, _around(problem, best), _HOPS)[0].exp()


def _around(problem: Problem, best: Tensor) -> Tensor:
    """``best`` (k, 2) itself and copies of it, each disturbed more than the one before."""
    number = 1 + round(_HOP_SHARE * problem.restarts)
    generator = torch.Generator().manual_seed(problem.seed + 1)
    noise = torch.randn(number, *best.shape, generator=generator)
    noise *= torch.linspace(_NEAR, _FAR, number)[:, None, None]
    noise[0] = 0
    return best + noise


def survivors(problem: Problem, starts: Tensor, plan: Plan = _CLIMB) -> Tensor:
    """Log shapes (m, k, 2) of the last stage, best first."""
    params, total = starts, len(starts)
    for stage, share, iterations, step in plan:
        keep = max(1, round(total * share))
        params, score = ascend(
            problem.objective,
            problem.stages[stage],
            params[:keep],
            iterations=iterations,
            step=step,
            temperatures=(1.0, 0.05) if stage == 0 else (0.1, 0.02),
        )
        params = params[score.argsort(descending=True, stable=True)]
    return params


def _small_on_fine(starts: Tensor, placed: Placed) -> Tensor:
    """Reorder each start so that its smaller shapes take the places of finer levels."""
    order = starts.sum(-1).argsort(1)
    sorted_starts = starts.gather(1, order[..., None].expand_as(starts))
    stride = torch.tensor([placed.floors[int(i)].stride for i in placed.level])
    place = stride.argsort(stable=True).argsort()
    return sorted_starts[:, place]
