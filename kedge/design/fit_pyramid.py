"""``fit_pyramid``: the best RetinaNet-style anchors for a set of boxes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kedge.design import notes
from kedge.design.fit import (
    by_level,
    check_words,
    input_size,
    objective_of,
    read_points,
)
from kedge.design.measure import measure
from kedge.design.objectives import Objective, mean_worth, value
from kedge.design.placed import Placed, floors, scatter
from kedge.design.points import Points
from kedge.design.problem import Problem, stages_of_places, stages_of_sizes
from kedge.design.pyramid import Pyramid, pyramid
from kedge.design.result import Design
from kedge.design.search import settle
from kedge.design.sketch import Sketch
from kedge.design.threads import one_thread

RETINANET_STRIDES = (8.0, 16.0, 32.0, 64.0, 128.0)
_EQUAL = 1e-4


@one_thread()
def fit_pyramid(
    wh: Any,
    scales: int = 3,
    ratios: int = 3,
    objective: str | Objective = "mean_iou",
    *,
    image_size: int | tuple[int, int],
    strides: Sequence[float] = RETINANET_STRIDES,
    offset: float = 0.5,
    centres: Any = None,
    threshold: float | None = None,
    restarts: int = 16,
    weights: Any = None,
    seed: int = 0,
) -> Design:
    """Find a size per level, and ``scales`` and ``ratios`` that all share, for boxes ``wh`` (n, 2).

    Every level gets scales x ratios shapes, w = size * scale / sqrt(r), h = size * scale * sqrt(r)
    with r = h / w: the anchors that generators of torchvision, Detectron2 and MMDetection state.
    They are in ``Design.pyramid``, rounded as printed; shapes and metrics are those of the rounded
    numbers. All else is as in ``fit``.

    Errors: ``ValueError`` for no usable box, an unknown objective, and fewer than one scale or
    ratio.
    """
    begun = time.perf_counter()
    size = input_size(image_size, strides)
    assert size is not None
    if min(scales, ratios) < 1:
        raise ValueError(f"scales, ratios: expected at least 1 of each, got {scales}, {ratios}")
    each = scales * ratios
    k = len(strides) * each
    check_words(k, restarts, "best")
    strides = sorted(float(s) for s in strides)
    points, sketch, dropped = read_points(wh, weights, centres)
    ground = floors(strides, size, offset)
    if points.cx is None:
        points = scatter(points, size)
    judged, placed = objective_of(objective, threshold, ground, k, [each] * len(strides))
    assert placed is not None
    problem = _problem(points, sketch, judged, k, restarts, seed)
    found = _in_order(pyramid(problem, strides, scales, ratios), judged, problem).rounded()
    score = mean_worth(judged, points, found.shapes)
    shapes, placed = settle(points, found.shapes, placed, ground, None, designed_on_grid=True)
    levels = by_level(shapes, placed)
    return Design(
        shapes=shapes,
        objective=judged.name,
        method="pyramid",
        score=score,
        metrics=measure(points, shapes, placed),
        levels=levels,
        placed=placed,
        boxes=float(points.weight.double().sum()),
        dropped=dropped,
        distinct=len(sketch),
        notes=(  # shapes are tied: fewer boxes than shapes are usual
            *notes.of_boxes(k + 1, k, dropped),
            *notes.of_levels(levels, size, judged.name),
        ),
        seed=seed,
        pyramid=found,
        seconds=time.perf_counter() - begun,
    )


def _problem(
    points: Points, sketch: Sketch, judged: Objective, k: int, restarts: int, seed: int
) -> Problem:
    on_grid = isinstance(judged, Placed)
    stages = stages_of_places(points, seed) if on_grid else stages_of_sizes(points, sketch)
    return Problem(stages=stages, k=k, objective=judged, seed=seed, restarts=restarts)


def _in_order(found: Pyramid, judged: Objective, problem: Problem) -> Pyramid:
    """Larger sizes on coarser levels, unless that costs recall on the real grid."""
    ordered = replace(found, sizes=tuple(sorted(found.sizes)))
    both: Tensor = torch.stack([found.shapes, ordered.shapes])
    before, after = value(judged, problem.stages[-1], both).tolist()
    return ordered if after >= before - _EQUAL else found
