"""``fit``: the best anchor shapes for a set of boxes, and every number about them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.presets import PresetLevel
from kedge.design import notes
from kedge.design.kmeans import by_area, fill_up
from kedge.design.measure import measure
from kedge.design.objectives import BPR, MeanIoU, Objective, RatioFitness, Recall, mean_worth
from kedge.design.placed import Floor, Placed, floors, scatter
from kedge.design.points import Points
from kedge.design.problem import distinct_boxes
from kedge.design.result import Design
from kedge.design.search import METHODS, even_levels, search, settle
from kedge.design.sketch import Sketch
from kedge.design.threads import one_thread

_OBJECTIVES: dict[str, Callable[[float | None], Objective]] = {
    "mean_iou": lambda threshold: MeanIoU(),
    "recall": lambda threshold: Recall(threshold=0.5 if threshold is None else threshold),
    "fitness": lambda threshold: RatioFitness(threshold=4.0 if threshold is None else threshold),
    "bpr": lambda threshold: BPR(threshold=4.0 if threshold is None else threshold),
}
OBJECTIVES = (*_OBJECTIVES, "placed")
_FEW = 4096


@one_thread()
def fit(
    wh: Any,
    k: int = 9,
    objective: str | Objective = "mean_iou",
    *,
    image_size: int | tuple[int, int] | None = None,
    strides: Sequence[float] | None = None,
    per_level: Sequence[int] | None = None,
    in_order: bool = False,
    offset: float = 0.5,
    centres: Any = None,
    threshold: float | None = None,
    method: str = "best",
    restarts: int = 64,
    weights: Any = None,
    seed: int = 0,
) -> Design:
    """Find ``k`` anchor shapes for boxes ``wh`` (n, 2), pixels of the network's input.

    ``wh`` is any array, tensor or a ``Sketch``; optional ``weights`` (n,). ``objective``:
    "mean_iou", "recall" (share with IoU >= ``threshold``, 0.5), "bpr" (share within YOLOv5's ratio
    ``threshold``, 4), "fitness" (YOLOv5's), "placed" (share that gets a positive at IoU
    ``threshold``, 0.5, on the real grid), or an ``Objective``. ``method``: "best" (ours),
    "kmeans", "kmedians", "yolov5", "evolution".

    With ``strides`` and ``image_size`` (side, or (H, W)) every shape is put on the feature map
    where it serves best (``per_level`` shapes on each; an even split for "placed") and placed
    recall is measured. ``centres`` (n, 2) of the boxes make it exact; without them boxes stand
    evenly over the image. ``in_order`` puts smaller shapes on finer maps instead, for detectors
    that compare shapes alone (YOLOv5); it says nothing for "placed".

    Edge cases: boxes without positive finite sides are dropped and counted. With at most ``k``
    distinct boxes these are the shapes, filled up by rescaled copies, and a note says so.
    Deterministic by ``seed``.

    Errors: ``ValueError`` for no usable box, ``k < 1``, an unknown objective or method, or strides
    without an image size.
    """
    begun = time.perf_counter()
    size = input_size(image_size, strides)
    check_words(k, restarts, method)
    points, sketch, dropped = read_points(wh, weights, centres)
    ground = None if strides is None or size is None else floors(strides, size, offset)
    if ground is not None and size is not None and points.cx is None:
        points = scatter(points, size)
    judged, placed = objective_of(objective, threshold, ground, k, per_level)
    distinct = len(sketch)  # bins: at least so many different boxes
    different = torch.empty(0, 2)
    if distinct <= max(_FEW, k):
        different = distinct_boxes(points)
        distinct = len(different)
    if distinct <= k:
        shapes = by_area(fill_up(different, k))
    else:
        shapes = search(points, sketch, k, judged, placed, METHODS[method], restarts, seed)
    if ground is not None and placed is not None:
        on_grid = judged is placed
        shapes, placed = settle(points, shapes, placed, ground, per_level, on_grid, in_order)
        judged = placed if isinstance(judged, Placed) else judged
    levels = None if placed is None else by_level(shapes, placed)
    return Design(
        shapes=shapes,
        objective=judged.name,
        method=method,
        score=mean_worth(judged, points, shapes),
        metrics=measure(points, shapes, placed),
        levels=levels,
        placed=placed,
        boxes=float(points.weight.double().sum()),
        dropped=dropped,
        distinct=distinct,
        notes=(
            *notes.of_boxes(distinct, k, dropped),
            *notes.of_levels(levels, size, judged.name),
        ),
        seed=seed,
        seconds=time.perf_counter() - begun,
    )


def input_size(
    image_size: int | tuple[int, int] | None, strides: Sequence[float] | None
) -> tuple[int, int] | None:
    """The input (H, W) of a side or (H, W); ``ValueError`` for strides without one."""
    if image_size is None:
        if strides is not None:
            raise ValueError("strides need image_size: the (H, W) of the network's input")
        return None
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def check_words(k: int, restarts: int, method: str) -> None:
    """``ValueError`` for numbers and names that mean nothing."""
    if k < 1:
        raise ValueError(f"k: expected at least 1 shape, got {k}")
    if restarts < 1:
        raise ValueError(f"restarts: expected at least 1, got {restarts}")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")


def read_points(wh: Any, weights: Any, centres: Any) -> tuple[Points, Sketch, int]:
    """The boxes, their sketch, and how many were dropped; ``ValueError`` where none is left."""
    if isinstance(wh, Sketch):
        sketch, points = wh, Points.of_sketch(wh, 32)
        dropped = wh.dropped
    else:
        points = Points.of(wh, weights, centres)
        dropped = len(wh) - len(points)
        sketch = Sketch.of(points.wh, weight=points.weight)
    if len(points) == 0:
        raise ValueError("wh: there is no box with positive, finite sides to design for")
    return points, sketch, dropped


def objective_of(
    objective: str | Objective,
    threshold: float | None,
    ground: tuple[Floor, ...] | None,
    k: int,
    per_level: Sequence[int] | None,
) -> tuple[Objective, Placed | None]:
    """The objective, and how placed recall is measured (None without a grid)."""
    placed = None
    if ground is not None:
        level = even_levels(ground, k, per_level)
        limit = 0.5 if threshold is None or objective != "placed" else threshold
        placed = Placed(floors=ground, level=level, threshold=limit)
    if isinstance(objective, Placed):
        raise ValueError(
            "objective: say 'placed', with threshold=, strides= and image_size=: on which level a "
            "shape stands is for the search to find"
        )
    if not isinstance(objective, str):
        return objective, placed
    if objective == "placed":
        if placed is None:
            raise ValueError("objective 'placed' needs strides and image_size: the real grid")
        return placed, placed
    return make_objective(objective, threshold), placed


def make_objective(name: str, threshold: float | None = None) -> Objective:
    """The objective called ``name`` (not "placed", which needs a grid), at its ``threshold``."""
    if name not in _OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {name!r}")
    return _OBJECTIVES[name](threshold)


def by_level(shapes: Tensor, placed: Placed) -> tuple[PresetLevel, ...]:
    """The shapes of every floor, in the order given."""
    groups = []
    for i, floor in enumerate(placed.floors):
        mine = shapes[placed.level == i].tolist()
        groups.append(PresetLevel(floor.stride, tuple((w, h) for w, h in mine)))
    return tuple(groups)
