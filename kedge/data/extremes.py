"""The four extreme points of an object, from the polygons around it.

Each lies on a side of the object's box, so one number says where: `extremes` are (x of the topmost
point, y of the leftmost, x of the bottommost, y of the rightmost), in pixels, and NaN where an
object has no polygon. They move as the corners of a box do; a horizontal flip swaps left and right.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kedge.counted import count
from kedge.data.problems import Problems
from kedge.data.records import Data
from kedge.parse import number

Extremes = tuple[float, float, float, float]

TOLERANCE = 0.02
"""Of the side of the box: how far a vertex may be from the extreme one to be of the same run."""

FAR = 1e9
"""Pixels: no point lies farther out."""

_Best = Callable[[Iterable[float]], float]


def extremes_of(rings: Sequence[Sequence[float]]) -> Extremes:
    """Where the polygons of one object, each x, y, x, y ..., touch the four sides of its box.

    On each side the vertex that is farthest out, and its neighbours along the polygon (which is
    closed) for as long as they are within `TOLERANCE` of the box's height (top, bottom) or width
    (left, right): the middle of what this run spans. Of several runs that reach equally far, the
    first that is written.

    Source: Zhou et al., arXiv:1901.08043, section 4.1; gen_coco_extreme_points.py of their code.
    Deviations: not rounded to pixels, and a run goes on past the vertex that is written first.
    """
    xs, ys = [ring[0::2] for ring in rings], [ring[1::2] for ring in rings]
    wide, high = (
        TOLERANCE * (max(map(max, values)) - min(map(min, values))) for values in (xs, ys)
    )
    return (
        _middle(ys, xs, min, high), _middle(xs, ys, min, wide),
        _middle(ys, xs, max, high), _middle(xs, ys, max, wide),
    )  # fmt: skip


def _middle(
    along: list[Sequence[float]], across: list[Sequence[float]], best: _Best, slack: float
) -> float:
    """The middle, by `across`, of the run around the vertex whose `along` is best."""
    edge = best(map(best, along))
    ring = next(i for i, values in enumerate(along) if edge in values)
    values, others = along[ring], across[ring]
    total, start = len(values), values.index(edge)
    run = [others[start]]
    for step in (1, -1):
        for n in range(1, total):
            vertex = (start + step * n) % total
            if abs(values[vertex] - edge) > slack:
                break
            run.append(others[vertex])
    return (min(run) + max(run)) / 2


def extremes_said(polygons: Any) -> Extremes | None:
    """The extreme points of a list of polygons as a file says them; None where one of them is no
    list of three or more points that are numbers."""
    if not isinstance(polygons, list) or not polygons:
        return None
    rings = []
    for ring in polygons:
        if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
            return None
        values = ring
        if not set(map(type, ring)) <= {int, float}:  # numbers may be text
            values = [value for entry in ring if (value := number(entry)) is not None]
        sound = len(values) == len(ring) and max(values) < FAR and min(values) > -FAR
        if not sound or math.isnan(sum(values)):
            return None
        rings.append(values)
    return extremes_of(rings)


def note_unreadable(problems: Problems, where: Sequence[str]) -> None:
    """Say of which records the polygon cannot be understood, if of any. Their boxes are kept."""
    if where:
        message = "is no list of points: its box is read, and no extreme points"
        problems.note("unreadable polygon", "", where[0], message, count=len(where))


def packed(rows: Sequence[Extremes | None]) -> np.ndarray | None:
    """(n, 4) float64 of n objects, NaN where one has none; None where all have none."""
    if not any(rows):
        return None
    none = (math.nan,) * 4
    return np.array([none if row is None else row for row in rows], np.float64)


def on_sides(extremes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """`extremes` (n, 4), no farther than the ends of the sides of boxes (n, 4)."""
    return np.clip(extremes, boxes[:, [0, 1, 0, 1]], boxes[:, [2, 3, 2, 3]])


def with_extremes(data: Data) -> str:
    """How many objects have extreme points, in words; crowds are no objects."""
    fair, have = 0, 0
    for record in data.records:
        fair += int((~record.crowd).sum())
        if record.extremes is not None:
            have += int((~np.isnan(record.extremes[:, 0]) & ~record.crowd).sum())
    return f"extreme points: {have:,} of {count(fair, 'object')}, from polygons"
