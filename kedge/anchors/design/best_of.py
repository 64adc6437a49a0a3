"""Kedge's own search: many starts on a coarse sketch, the best of them polished on finer ones."""

import torch
from torch import Tensor

from kedge.anchors.design.ascent import ascend, spread_starts
from kedge.anchors.design.placed import Placed
from kedge.anchors.design.problem import Problem

# stage, share of the starts that enter, iterations, first step
_PLAN = ((0, 1.0, 12, 0.1), (0, 0.375, 30, 0.05), (1, 0.1875, 30, 0.02), (2, 0.05, 30, 0.005))


def best_of(problem: Problem, extra: Tensor | None = None) -> Tensor:
    """Shapes (k, 2): every start climbs on the coarsest stage, ever fewer survive to finer ones.

    ``extra`` (e, k, 2) are starts beside the drawn ones (anchors in use, published ones), so that
    the result is at least as good as any of them on the coarsest stage. Deterministic by the
    problem's seed.
    """
    starts = spread_starts(
        problem.objective, problem.stages[0], problem.k, problem.restarts, problem.generator()
    )
    if extra is not None:
        starts = torch.cat([starts, extra.log()])
    if isinstance(problem.objective, Placed):
        starts = _small_on_fine(starts, problem.objective)
    return survivors(problem, starts)[0].exp()


def survivors(problem: Problem, starts: Tensor) -> Tensor:
    """Log shapes (m, k, 2) of the last stage, best first."""
    params, total = starts, len(starts)
    for stage, share, iterations, step in _PLAN:
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
