"""Which feature map should a shape stand on?"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kedge.design.objectives import TIE, MeanIoU, best_shape
from kedge.design.placed import Floor, Placed
from kedge.design.points import Points


def service(
    points: Points, shapes: Tensor, floors: Sequence[Floor], threshold: float = 0.5
) -> Tensor:
    """What every shape (k, 2) is worth on every floor: (k, L) shares of all objects, float64.

    A shape answers for the objects that it fits best (centre-aligned). Its worth on a floor is the
    share of objects that it serves there with a placed IoU of at least ``threshold`` (plus a
    thousandth of their mean placed IoU, which orders equal shares).
    """
    _, owner = best_shape(MeanIoU(), points, shapes[None])
    total = float(points.weight.sum())
    worth = torch.zeros(len(shapes), len(floors), dtype=torch.float64)
    for i in range(len(shapes)):
        part = points[owner[0] == i]
        for j, floor in enumerate(floors):
            placed = Placed(floors=(floor,), level=torch.zeros(1, dtype=torch.int64))
            iou = placed.similarity(part, shapes[i, 0], shapes[i, 1], 0)
            good = (iou >= threshold).float() + TIE * iou
            worth[i, j] = float((good @ part.weight).double()) / total
    return worth


def assign_levels(
    points: Points,
    shapes: Tensor,
    floors: Sequence[Floor],
    per_level: Sequence[int] | None = None,
    threshold: float = 0.5,
    slack: float = 0.02,
) -> Tensor:
    """The floor (k,) int64 where each of ``shapes`` (k, 2) serves best.

    With ``per_level`` (how many shapes each floor takes; the sum must be k) the assignment that
    serves most objects in total, found exactly. Without it, each shape goes to the coarsest floor
    on which it serves at least 1 - ``slack`` of what it serves on its best one: a finer one would
    cost four times the anchors for nothing.
    """
    worth = service(points, shapes, floors, threshold)
    if per_level is None:
        good = worth >= (1 - slack) * worth.max(1, keepdim=True).values
        stride = torch.tensor([f.stride for f in floors])
        return torch.where(good, stride, torch.zeros(())).argmax(1)
    if len(per_level) != len(floors) or sum(per_level) != len(shapes):
        raise ValueError(
            f"per_level: expected {len(floors)} counts, sum {len(shapes)}; got {list(per_level)}"
        )
    return _fill_places(worth, tuple(per_level))


def _fill_places(worth: Tensor, places: tuple[int, ...]) -> Tensor:
    """Exact assignment of shapes to floors with capacities, by dynamic programming over free
    places.
    """
    table: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {places: (0.0, ())}
    for row in worth.tolist():
        following: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
        for free, (value, chosen) in table.items():
            for floor, gain in enumerate(row):
                if free[floor] == 0:
                    continue
                left = (*free[:floor], free[floor] - 1, *free[floor + 1 :])
                if left not in following or value + gain > following[left][0]:
                    following[left] = (value + gain, (*chosen, floor))
        table = following
    return torch.tensor(table[(0,) * len(places)][1])
