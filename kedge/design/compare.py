"""Is a new set of shapes worth the change? Judged on images that the design did not see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kedge.design.measure import Metrics, measure
from kedge.design.objectives import Objective, best_shape
from kedge.design.placed import Placed
from kedge.design.points import Points

_WORDS = {"mean_iou": "mean best IoU", "placed": "placed recall", "bpr": "BPR"}


class Candidate(NamedTuple):
    """Shapes (k, 2), the objective that judges them, and the grid they stand on, if any."""

    shapes: Tensor
    objective: Objective
    placed: Placed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One set of shapes on the held-out boxes: its score by the objective, and all metrics."""

    name: str
    shapes: int
    score: float
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do. ``keep`` names the set to stay with, or is None when the new one is better.

    ``in_use``: whether ``keep`` and ``gain`` are about the user's own set. ``gain`` is the new
    set's score (``objective``) minus the best rival's of the same role, ``error`` its standard
    error over images (paired), ``boxes`` the held-out boxes, ``rival`` the set compared with.
    """

    rows: tuple[Row, ...]
    keep: str | None
    in_use: bool
    gain: float
    error: float
    boxes: int
    objective: str
    rival: str | None = None

    @property
    def text(self) -> str:
        """One sentence for people."""
        name = _WORDS.get(self.objective, self.objective)
        change = f"{self.gain:+.4f} ± {self.error:.4f} on {self.boxes:,} held-out boxes"
        if self.keep is not None and self.in_use:
            return f"Keep what you have ({self.keep}): new shapes change the {name} by {change}."
        if self.keep is not None:
            other = f"Published anchors do as well ({self.keep})"
            return f"{other}: new shapes change the {name} by {change}."
        if self.rival is None:
            return f"Use the new shapes: {name} {self.gain:.4f} on {self.boxes:,} held-out boxes."
        return f"Use the new shapes: {name} {change}, compared with {self.rival}."


def split_images(image: Tensor, share: float = 0.2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Masks (n,) of the boxes to design on and of those held out: whole images, by seed."""
    names, index = torch.unique(image, return_inverse=True)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(names), dtype=torch.bool)
    held[order[: max(1, round(share * len(names)))]] = True
    return ~held[index], held[index]


def compare(
    points: Points,
    image: Tensor,
    new: Candidate,
    rivals: Mapping[str, Candidate],
    in_use: str | None = None,
    least: float = 0.002,
) -> Verdict:
    """Judge ``new`` against ``rivals`` on held-out ``points`` of ``image`` (n,), each by its
    objective (one score for all, or placed recall on each one's own grid).

    The verdict is about the set ``in_use`` (a name in ``rivals``): new shapes are recommended when
    they gain at least ``least`` and twice the standard error of the gain, taken over images.
    Without a set in use it is about the best rival that has no more shapes than the new set:
    published anchors cost nothing.
    """
    if in_use is not None and in_use not in rivals:
        raise ValueError(f"in_use: {in_use!r} is not among {', '.join(rivals) or 'no rivals'}")
    sets = {"new": new, **rivals}
    weight = points.weight.double()
    scores = {name: _scores(points, candidate) for name, candidate in sets.items()}
    mean = {name: float(s @ weight / weight.sum()) for name, s in scores.items()}
    rows = tuple(
        Row(
            name=n, shapes=len(c.shapes), score=mean[n], metrics=measure(points, c.shapes, c.placed)
        )
        for n, c in sets.items()
    )
    peers = [n for n, c in rivals.items() if len(c.shapes) <= len(new.shapes)]
    rival = in_use or (max(peers, key=lambda n: mean[n]) if peers else None)
    facts = {"rows": rows, "boxes": len(points), "objective": new.objective.name}
    if rival is None:
        return Verdict(**facts, keep=None, in_use=False, gain=mean["new"], error=0.0)
    gain, error = _paired(scores["new"] - scores[rival], weight, image)
    keep = None if gain >= least and gain >= 2 * error else rival
    return Verdict(
        **facts, keep=keep, in_use=in_use is not None, gain=gain, error=error, rival=rival
    )


def _scores(points: Points, candidate: Candidate) -> Tensor:
    best, _ = best_shape(candidate.objective, points, candidate.shapes[None])
    return candidate.objective.score(best[0]).double()


def _paired(difference: Tensor, weight: Tensor, image: Tensor) -> tuple[float, float]:
    """Weighted mean of the difference and its standard error over images."""
    mean = float(difference @ weight / weight.sum())
    _, index = torch.unique(image, return_inverse=True)
    images = int(index.max()) + 1
    if images < 2:
        return mean, float("inf")
    residual = torch.zeros(images, dtype=torch.float64)
    residual.scatter_add_(0, index, (difference - mean) * weight)
    error = (images / (images - 1) * (residual**2).sum()).sqrt() / weight.sum()
    return mean, float(error)
