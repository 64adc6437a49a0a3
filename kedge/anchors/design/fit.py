"""``fit``: the best anchor shapes for a set of boxes, and every number about them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.design.best_of import best_of, survivors
from kedge.anchors.design.evolution import evolution
from kedge.anchors.design.levels import assign_levels
from kedge.anchors.design.measure import Metrics, measure
from kedge.anchors.design.objectives import BPR, MeanIoU, Objective, RatioFitness, Recall, value
from kedge.anchors.design.placed import Floor, Placed, floors, scatter
from kedge.anchors.design.points import Points
from kedge.anchors.design.problem import (
    Problem,
    distinct_boxes,
    stages_of_places,
    stages_of_sizes,
)
from kedge.anchors.design.yolov5 import yolov5
from kedge.anchors.kmeans import by_area, fill_up, kmeans
from kedge.anchors.presets import PresetLevel, preset, preset_names
from kedge.anchors.sketch import Sketch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Anchor shapes and what they are worth.

    ``shapes`` (k, 2) float32, w and h in pixels, sorted by area. ``score``: the objective's value.
    The metrics are those of ``Metrics``. ``levels``: the shapes by feature map, when strides were
    given. ``distinct``: different boxes found (where there are thousands: bins of 1/32 octave);
    ``notes``: what a user should know. ``seconds``: time taken.
    """

    shapes: Tensor
    objective: str
    method: str
    score: float
    metrics: Metrics
    levels: tuple[PresetLevel, ...] | None
    boxes: float
    dropped: int
    distinct: int
    notes: tuple[str, ...]
    seed: int
    seconds: float

    @property
    def mean_best_iou(self) -> float:
        """Mean over boxes of the best centre-aligned IoU."""
        return self.metrics.mean_best_iou

    @property
    def bpr(self) -> float:
        """Best possible recall by YOLOv5's ratio metric at threshold 4."""
        return self.metrics.bpr

    @property
    def aat(self) -> float:
        """Anchors above threshold per box, same metric."""
        return self.metrics.aat

    @property
    def placed_recall(self) -> float | None:
        """Share of objects with a positive on the real grid; None without strides."""
        return self.metrics.placed_recall

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` writes: plain numbers and lists."""
        levels = None
        if self.levels is not None:
            levels = [{"stride": s, "shapes": [list(x) for x in m]} for s, m in self.levels]
        return {
            "shapes": self.shapes.tolist(),
            **self.metrics.to_dict(),
            "levels": levels,
            "objective": self.objective,
            "score": self.score,
            "method": self.method,
            "boxes": self.boxes,
            "dropped": self.dropped,
            "distinct": self.distinct,
            "notes": list(self.notes),
            "seed": self.seed,
            "seconds": self.seconds,
        }


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
_OBJECTIVES: dict[str, Callable[[float | None], Objective]] = {
    "mean_iou": lambda threshold: MeanIoU(),
    "recall": lambda threshold: Recall(threshold=0.5 if threshold is None else threshold),
    "fitness": lambda threshold: RatioFitness(threshold=4.0 if threshold is None else threshold),
    "bpr": lambda threshold: BPR(threshold=4.0 if threshold is None else threshold),
}
OBJECTIVES = (*_OBJECTIVES, "placed")
_FEW = 4096


def fit(
    wh: Any,
    k: int = 9,
    objective: str | Objective = "mean_iou",
    *,
    image_size: int | tuple[int, int] | None = None,
    strides: Sequence[float] | None = None,
    per_level: Sequence[int] | None = None,
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
    evenly over the image.

    Edge cases: boxes without positive finite sides are dropped and counted. With at most ``k``
    distinct boxes these are the shapes, filled up by rescaled copies, and a note says so.
    Deterministic by ``seed``.

    Errors: ``ValueError`` for no usable box, ``k < 1``, an unknown objective or method, or strides
    without an image size.
    """
    begun = time.perf_counter()
    size = _image_size(image_size, strides)
    _check(k, restarts, method)
    points, sketch, dropped = _read(wh, weights, centres)
    ground = None if strides is None or size is None else floors(strides, size, offset)
    if ground is not None and size is not None and points.cx is None:
        points = scatter(points, size)
    judged, placed = _objective(objective, threshold, ground, k, per_level)
    distinct = len(sketch)  # bins: at least so many different boxes
    different = torch.empty(0, 2)
    if distinct <= max(_FEW, k):
        different = distinct_boxes(points)
        distinct = len(different)
    if distinct <= k:
        shapes = by_area(fill_up(different, k))
    else:
        shapes = _search(points, sketch, k, judged, placed, METHODS[method], restarts, seed)
    if ground is not None and placed is not None:
        shapes, placed = _settle(points, shapes, placed, ground, per_level, judged is placed)
        judged = placed if isinstance(judged, Placed) else judged
    return Design(
        shapes=shapes,
        objective=judged.name,
        method=method,
        score=float(judged_value(judged, points, shapes)),
        metrics=measure(points, shapes, placed),
        levels=None if placed is None else _grouped(shapes, placed),
        boxes=float(points.weight.double().sum()),
        dropped=dropped,
        distinct=distinct,
        notes=_notes(distinct, k, dropped),
        seed=seed,
        seconds=time.perf_counter() - begun,
    )


def judged_value(objective: Objective, points: Points, shapes: Tensor) -> float:
    """The objective's exact value of one set of shapes (k, 2)."""
    return float(value(objective, points, shapes[None])[0])


def _image_size(
    image_size: int | tuple[int, int] | None, strides: Sequence[float] | None
) -> tuple[int, int] | None:
    if image_size is None:
        if strides is not None:
            raise ValueError("strides need image_size: the (H, W) of the network's input")
        return None
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)


def _check(k: int, restarts: int, method: str) -> None:
    if k < 1:
        raise ValueError(f"k: expected at least 1 shape, got {k}")
    if restarts < 1:
        raise ValueError(f"restarts: expected at least 1, got {restarts}")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")


def _read(wh: Any, weights: Any, centres: Any) -> tuple[Points, Sketch, int]:
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


def _objective(
    objective: str | Objective,
    threshold: float | None,
    ground: tuple[Floor, ...] | None,
    k: int,
    per_level: Sequence[int] | None,
) -> tuple[Objective, Placed | None]:
    """The objective, and how placed recall is measured (None without a grid)."""
    placed = None
    if ground is not None:
        level = _even_levels(ground, k, per_level)
        limit = 0.5 if threshold is None or objective != "placed" else threshold
        placed = Placed(floors=ground, level=level, threshold=limit)
    if not isinstance(objective, str):
        return objective, placed
    if objective == "placed":
        if placed is None:
            raise ValueError("objective 'placed' needs strides and image_size: the real grid")
        return placed, placed
    if objective not in _OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {objective!r}")
    return _OBJECTIVES[objective](threshold), placed


def _even_levels(ground: tuple[Floor, ...], k: int, per_level: Sequence[int] | None) -> Tensor:
    count = per_level or [k // len(ground) + (i < k % len(ground)) for i in range(len(ground))]
    if len(count) != len(ground) or sum(count) != k:
        raise ValueError(f"per_level: expected {len(ground)} counts, sum {k}; got {list(count)}")
    return torch.arange(len(ground)).repeat_interleave(torch.tensor(count))


def _search(
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
    last = problem.stages[-1]
    record = judged_value(placed, last, shapes)
    for _ in range(3):
        count = torch.bincount(placed.level, minlength=len(placed.floors)).tolist()
        level = assign_levels(last, shapes, placed.floors, count, placed.threshold)
        order = level.argsort(stable=True)
        moved = shapes[order]
        climbed = survivors(problem, moved[None].log())[0].exp()
        score = judged_value(placed, last, climbed)
        if score <= record:
            break
        shapes, record = climbed, score
    return shapes


def _settle(
    points: Points,
    shapes: Tensor,
    placed: Placed,
    ground: tuple[Floor, ...],
    per_level: Sequence[int] | None,
    designed_on_grid: bool,
) -> tuple[Tensor, Placed]:
    """Shapes sorted by area, and the level of each."""
    if designed_on_grid:
        level = placed.level
    else:
        sample = stages_of_places(points, 0)[-1]
        level = assign_levels(sample, shapes, ground, per_level, placed.threshold)
    order = sorted(range(len(shapes)), key=lambda i: (float(shapes[i].prod()), float(shapes[i, 0])))
    index = torch.tensor(order)
    return shapes[index], replace(placed, level=level[index])


def _grouped(shapes: Tensor, placed: Placed) -> tuple[PresetLevel, ...]:
    groups = []
    for i, floor in enumerate(placed.floors):
        mine = shapes[placed.level == i].tolist()
        groups.append(PresetLevel(floor.stride, tuple((w, h) for w, h in mine)))
    return tuple(groups)


def _notes(distinct: int, k: int, dropped: int) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"{dropped:,} boxes without positive finite sides were left out")
    if distinct <= k:
        notes.append(
            f"only {distinct} different boxes for {k} shapes: use k = {distinct}; "
            "the other shapes are rescaled copies"
        )
    return tuple(notes)
