"""The methods by name, and their use on a problem: stages, levels, order."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.presets import preset, preset_names
from kedge.design.best_of import best_of, survivors
from kedge.design.evolution import evolution
from kedge.design.exchange import exchange
from kedge.design.kmeans import area_order, by_area, kmeans
from kedge.design.levels import assign_levels
from kedge.design.objectives import Objective, value
from kedge.design.placed import Floor, Placed
from kedge.design.points import Points
from kedge.design.problem import Problem, stages_of_places, stages_of_sizes
from kedge.design.sketch import Sketch
from kedge.design.yolov5 import yolov5


def _kmeans(problem: Problem) -> Tensor:
    last = problem.stages[-1]
    return kmeans(last.wh, problem.k, weights=last.weight, seed=problem.seed)


def _kmedians(problem: Problem) -> Tensor:
    last = problem.stages[-1]
    return kmeans(last.wh, problem.k, update="median", weights=last.weight, seed=problem.seed)


METHODS: dict[str, Callable[[Problem], Tensor]] = {
    "best": best_of,
    "kmeans": _kmeans,
    "kmedians": _kmedians,
    "yolov5": yolov5,
    "evolution": evolution,
}


def even_levels(ground: tuple[Floor, ...], k: int, per_level: Sequence[int] | None) -> Tensor:
    """Which floor each of k shapes in order of area stands on, small shapes on fine floors in
    whatever order these are given: ``per_level`` each, or an even split."""
    count = per_level or [k // len(ground) + (i < k % len(ground)) for i in range(len(ground))]
    if len(count) != len(ground) or sum(count) != k:
        raise ValueError(f"per_level: expected {len(ground)} counts, sum {k}; got {list(count)}")
    order = torch.tensor([floor.stride for floor in ground]).argsort(stable=True)
    return order.repeat_interleave(torch.tensor(count)[order])


def search(
    points: Points,
    sketch: Sketch,
    k: int,
    judged: Objective,
    placed: Placed | None,
    method: Callable[[Problem], Tensor],
    restarts: int,
    seed: int,
) -> Tensor:
    on_grid = judged is placed
    stages = stages_of_places(points, seed) if on_grid else stages_of_sizes(points, sketch)
    problem = Problem(stages=stages, k=k, objective=judged, seed=seed, restarts=restarts)
    if method is not best_of:
        return by_area(method(problem))
    known = [torch.tensor(preset(n).shapes) for n in preset_names() if len(preset(n).shapes) == k]
    known = [x for x in known if len(torch.unique(x, dim=0)) == k]
    shapes = best_of(problem, torch.stack(known) if known else None)
    return (
        _polish_levels(problem, shapes, judged) if isinstance(judged, Placed) else by_area(shapes)
    )


def _polish_levels(problem: Problem, shapes: Tensor, placed: Placed) -> Tensor:
    """Placed: move shapes to the levels where they serve best and climb again, while that helps."""
    last, some = problem.stages[-1], problem.stages[1]
    record = _score(placed, last, shapes)
    for _ in range(3):
        moved = shapes[exchange(placed, some, shapes)]
        climbed = survivors(problem, moved[None].log())[0].exp()
        score = _score(placed, last, climbed)
        if score <= record:
            break
        shapes, record = climbed, score
    return shapes[exchange(placed, last, shapes)]


def settle(
    points: Points,
    shapes: Tensor,
    placed: Placed,
    ground: tuple[Floor, ...],
    per_level: Sequence[int] | None,
    designed_on_grid: bool,
    in_order: bool = False,
) -> tuple[Tensor, Placed]:
    """Shapes sorted by area, and the level of each (``in_order``: by area, too)."""
    if designed_on_grid:
        level = placed.level
    elif in_order:
        shapes, level = by_area(shapes), even_levels(ground, len(shapes), per_level)
    else:
        level = _where_they_serve(points, shapes, placed, ground, per_level)
    order = area_order(shapes)
    return shapes[order], replace(placed, level=level[order])


def _where_they_serve(
    points: Points,
    shapes: Tensor,
    placed: Placed,
    ground: tuple[Floor, ...],
    per_level: Sequence[int] | None,
) -> Tensor:
    """The level (k,) of every shape."""
    sample = stages_of_places(points, 0)[-1]
    level = assign_levels(sample, shapes, ground, per_level, placed.threshold)
    if per_level is None:
        return level
    places = exchange(placed.on(level), sample, shapes)  # full floors: shapes change places
    return torch.empty_like(level).scatter_(0, places, level)


def _score(objective: Objective, points: Points, shapes: Tensor) -> float:
    return float(value(objective, points, shapes[None])[0])
