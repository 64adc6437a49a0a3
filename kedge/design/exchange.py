"""Shapes that change places: which of them stands on which feature map, judged together."""

import torch
from torch import Tensor

from kedge.design.placed import Placed
from kedge.design.points import Points

_EQUAL = 1e-4  # of the score: one object in ten thousand


def exchange(placed: Placed, points: Points, shapes: Tensor) -> Tensor:
    """The order (k,) in which ``shapes`` (k, 2) take the places of ``placed.level``.

    Two shapes on different floors change places while that makes the score larger, the best pair
    first. Then of two that score the same either way (to one object in ten thousand) the smaller
    one takes the finer floor: a coarse one may serve it as well, yet sees less of it. The number of
    shapes on a floor stays. Unlike ``assign_levels``, which looks at every shape alone, this knows
    what the other shapes answer for already.
    """
    order = torch.arange(len(shapes))
    if len(placed.floors) == 1 or len(points) == 0:
        return order
    table = _table(placed, points, shapes)
    weight = points.weight / points.weight.sum()
    record = _value(placed, table, order, weight)
    stride = torch.tensor([floor.stride for floor in placed.floors])[placed.level]
    area = shapes.prod(1)
    for _ in range(len(shapes) ** 2):
        swaps = [(_value(placed, table, new, weight), new) for new in _swaps(placed, order)]
        score, new = max(swaps, key=lambda swap: swap[0], default=(record, order))
        if score <= record + 1e-7:
            break
        order, record = new, score
    for i in stride.argsort(stable=True).tolist():  # the finest places choose first
        for j in area[order].argsort(stable=True).tolist():
            if stride[j] <= stride[i] or area[order[j]] >= area[order[i]]:
                continue
            new = _swapped(order, i, j)
            if _value(placed, table, new, weight) >= record - _EQUAL:
                order = new
    return order


def _table(placed: Placed, points: Points, shapes: Tensor) -> Tensor:
    """(k, L, n): best IoU of every shape with every object on every floor."""
    rows = []
    for floor in range(len(placed.floors)):
        there = placed.on(torch.full_like(placed.level, floor))
        rows.append(torch.stack([there.similarity(points, w, h, 0) for w, h in shapes]))
    return torch.stack(rows, 1)


def _value(placed: Placed, table: Tensor, order: Tensor, weight: Tensor) -> float:
    best = table[order, placed.level].amax(0)
    return float(placed.score(best) @ weight)


def _swapped(order: Tensor, i: int, j: int) -> Tensor:
    new = order.clone()
    new[i], new[j] = order[j], order[i]
    return new


def _swaps(placed: Placed, order: Tensor) -> list[Tensor]:
    level = placed.level.tolist()
    places = range(len(level))
    return [_swapped(order, i, j) for i in places for j in places[:i] if level[i] != level[j]]
