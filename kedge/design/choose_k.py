"""How many shapes? The curve of the objective over k, and its knee."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from kedge.design.ascent import ascend, spread_starts
from kedge.design.objectives import mean_worth
from kedge.design.problem import Problem
from kedge.design.threads import one_thread

_LINES = 24  # of a curve in a terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """``value`` of the ``objective`` for every number of shapes tried, and the one at the knee."""

    objective: str
    k: tuple[int, ...]
    value: tuple[float, ...]
    knee: int

    def text(self) -> str:
        """The curve as lines of text, the knee marked; of a long one every so many, the knee and
        the last."""
        top = max(self.value) or 1.0
        step = -(-len(self.k) // _LINES)
        shown = {*self.k[::step], self.knee, self.k[-1]}
        rows = []
        for k, v in zip(self.k, self.value, strict=True):
            if k not in shown:
                continue
            mark = "  <- knee" if k == self.knee else ""
            rows.append(f"{k:3d}  {v:.4f}  {'#' * round(40 * v / top)}{mark}")
        return "\n".join(rows)


@one_thread()
def k_curve(problem: Problem, ks: Sequence[int] = tuple(range(1, 16)), restarts: int = 12) -> Curve:
    """The best value found for each k, on the problem's coarse stages, and the knee.

    A cheap search per k (``restarts`` starts on the coarsest stage, judged on the next), made
    non-decreasing. The knee is the point farthest above the chord of the curve (Kneedle: Satopaa et
    al., 2011); a curve that is flat has it at its first k.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks: expected one or more numbers of shapes >= 1, got {list(ks)}")
    judge = problem.stages[1]
    values: list[float] = []
    ordered = sorted(set(ks))
    for k in ordered:
        part = replace(problem, k=k)
        points = part.stages[0]
        starts = spread_starts(part.objective, points, k, restarts, part.generator())
        params, score = ascend(part.objective, points, starts, iterations=30)
        best = params[score.topk(min(2, restarts)).indices].exp()
        found = [mean_worth(part.objective, judge, shapes) for shapes in best]
        values.append(max(found + values))
    return Curve(
        objective=problem.objective.name,
        k=tuple(ordered),
        value=tuple(values),
        knee=ordered[_knee(ordered, values)],
    )


def _knee(ks: Sequence[int], values: Sequence[float]) -> int:
    x = torch.tensor(ks, dtype=torch.float64)
    y = torch.tensor(values, dtype=torch.float64)
    if len(x) < 3 or y[-1] - y[0] < 1e-6:
        return 0
    gap = (y - y[0]) / (y[-1] - y[0]) - (x - x[0]) / (x[-1] - x[0])
    return int(gap.argmax())
