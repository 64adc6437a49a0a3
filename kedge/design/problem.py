"""A design problem: the boxes in stages from coarse to fine, the objective and how hard to try."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.design.objectives import Objective
from kedge.design.points import Points, distinct
from kedge.design.sketch import Sketch

_HANDFUL, _FEW = 6_000, 40_000  # boxes: every stage exact; only the last stage exact
_SAMPLES = (3_000, 8_000, 40_000)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Find ``k`` shapes that make ``objective`` large on ``stages[-1]``.

    The three stages are ever finer versions of the same boxes: the first is cheap enough to try
    many starts on.
    """

    stages: tuple[Points, ...]
    k: int
    objective: Objective
    seed: int = 0
    restarts: int = 64

    def generator(self) -> torch.Generator:
        """A fresh generator of this problem's seed."""
        return torch.Generator().manual_seed(self.seed)


def stages_of_sizes(points: Points, sketch: Sketch) -> tuple[Points, ...]:
    """Three stages for objectives of sizes alone: bins of 1/8, 1/16 and 1/32 octave, or the boxes
    themselves where they are few.
    """
    exact = points if len(points) <= _FEW else None
    if exact is not None and len(exact) <= _HANDFUL:
        return exact, exact, exact
    coarse, middle = Points.of_sketch(sketch, 8), Points.of_sketch(sketch, 16)
    return coarse, middle, exact if exact is not None else Points.of_sketch(sketch, 32)


def stages_of_places(points: Points, seed: int) -> tuple[Points, ...]:
    """Three nested random samples, for objectives that need the place of every box."""
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    coarse, middle, fine = (points[order[:size]] for size in _SAMPLES)
    return coarse, middle, fine


def distinct_boxes(points: Points) -> Tensor:
    """The different sizes (d, 2) among the points, heaviest first (ties: narrowest first)."""
    sizes, weight = distinct(points.wh, points.weight)
    return sizes[weight.argsort(descending=True, stable=True)]
