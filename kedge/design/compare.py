"""Is a new set of shapes worth the change? Judged on images that the design did not see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.counted import count
from kedge.design.judging import Candidate, Trial, certain, paired, pooled, scores
from kedge.design.measure import Metrics

FEWEST = 3  # images on which a verdict can rest
IN_WORDS = {"mean_iou": "mean best IoU", "placed": "placed recall", "bpr": "BPR"}
_NUMBERS = {
    "mean_best_iou": "mean best IoU",
    "recall": "IoU >= 0.5",
    "bpr": "BPR",
    "placed_recall": "placed recall",
}


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
    set's score (``objective``) minus that of the ``rival`` (without one: its score), ``error`` its
    standard error over ``images`` (paired), ``sure`` how many errors make a difference certain.
    ``boxes``: held out; ``folds``: parts of the data that were held out in turn. ``worse``: every
    number in which the new set falls behind the rival, with both values.
    """

    rows: tuple[Row, ...]
    keep: str | None
    in_use: bool
    gain: float
    error: float
    boxes: int
    objective: str
    images: int
    sure: float
    least: float
    folds: int = 1
    rival: str | None = None
    worse: tuple[tuple[str, float, float], ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there were images enough for a verdict."""
        return self.rival is None or self.images >= FEWEST

    @property
    def text(self) -> str:
        """What to do and why, and what gets worse by it, in sentences for people."""
        name = IN_WORDS.get(self.objective, self.objective)
        held = f"on {count(self.boxes, 'held-out box', 'held-out boxes')} in "
        held += count(self.images, "image")
        if self.folds > 1:
            held += f" ({self.folds} parts held out in turn)"
        if self.rival is None:
            alone = "No other set is as small" if len(self.rows) > 1 else "Nothing to compare with"
            return f"{alone}: {name} {self.gain:.4f} {held}."
        change = f"{self.gain:+.4f} ± {self.error:.4f} {held}"
        if not self.judged:
            return (
                f"Too few images to judge ({self.images}): new shapes change the {name} by "
                f"{self.gain:+.4f}, compared with {self.rival}.{self._worse}"
            )
        if self.keep is None:
            return f"Use the new shapes: {name} {change}, compared with {self.rival}.{self._worse}"
        return f"{self._stay}: new shapes change the {name} by {change}{self._why}.{self._worse}"

    @property
    def _stay(self) -> str:
        if self.in_use:
            return f"Keep what you have ({self.keep})"
        if self.gain < self.least:
            return f"Published anchors do as well ({self.keep})"
        return f"Not shown to be better than published anchors ({self.keep})"

    @property
    def _why(self) -> str:
        """Why a change that is no loss is not recommended."""
        if self.gain <= 0:
            return ""
        if self.gain < self.sure * self.error:
            return ", which may be chance"
        return f", less than {self.least:g}"

    @property
    def _worse(self) -> str:
        if not self.worse:
            return ""
        numbers = ", ".join(f"{name} {new:.4f} (was {old:.4f})" for name, new, old in self.worse)
        return f" Worse than with {self.rival}: {numbers}."


def split_images(image: Tensor, share: float = 0.2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Masks (n,) of the boxes to design on and of those held out: whole images, by seed."""
    names, index = torch.unique(image, return_inverse=True)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(names), dtype=torch.bool)
    held[order[: max(1, round(share * len(names)))]] = True
    return ~held[index], held[index]


def fold_images(image: Tensor, folds: int, seed: int = 0) -> list[Tensor]:
    """Masks (n,) of boxes to hold out in turn: whole images, every one once, by seed."""
    names, index = torch.unique(image, return_inverse=True)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    part = torch.empty_like(order)
    part[order] = torch.arange(len(names)) % folds
    return [part[index] == i for i in range(min(folds, len(names)))]


def judge(
    trials: Sequence[Trial],
    rivals: Mapping[str, Candidate],
    in_use: str | None = None,
    least: float = 0.002,
) -> Verdict:
    """Judge new shapes, designed for every trial without its boxes, against ``rivals``.

    The verdict is about the set ``in_use`` (a name in ``rivals``): new shapes are recommended when
    they gain at least ``least``, and more than chance does (95 %) by the standard error of the gain
    over images. Without a set in use it is about the best rival that has no more shapes than the
    new set: published anchors cost nothing.
    """
    if in_use is not None and in_use not in rivals:
        raise ValueError(f"in_use: {in_use!r} is not among {', '.join(rivals) or 'no rivals'}")
    sets = {"new": [trial.new for trial in trials]}
    sets |= {name: [rival] * len(trials) for name, rival in rivals.items()}
    weight = torch.cat([trial.points.weight for trial in trials]).double()
    every = {
        name: torch.cat([scores(t.points, c) for t, c in zip(trials, own, strict=True)])
        for name, own in sets.items()
    }
    mean = {name: float(s @ weight / weight.sum()) for name, s in every.items()}
    rows = {
        name: Row(
            name=name, shapes=len(own[0].shapes), score=mean[name], metrics=pooled(trials, own)
        )
        for name, own in sets.items()
    }
    size = rows["new"].shapes
    peers = [name for name, rival in rivals.items() if len(rival.shapes) <= size]
    rival = in_use or (max(peers, key=lambda name: mean[name]) if peers else None)
    against = torch.zeros(()) if rival is None else every[rival]
    image = torch.cat([trial.image for trial in trials])
    gain, error, images = paired(every["new"] - against, weight, image)
    sure = certain(images)
    better = gain >= least and gain >= sure * error
    return Verdict(
        rows=tuple(rows.values()),
        keep=None if better or rival is None else rival,
        in_use=in_use is not None,
        gain=gain,
        error=error,
        boxes=round(float(weight.sum())),
        objective=trials[0].new.objective.name,
        images=images,
        sure=sure,
        least=least,
        folds=len(trials),
        rival=rival,
        worse=() if rival is None else _worse(rows["new"].metrics, rows[rival].metrics),
    )


def _worse(new: Metrics, old: Metrics) -> tuple[tuple[str, float, float], ...]:
    """Numbers that fall, as far as they are printed."""
    found = []
    for key, name in _NUMBERS.items():
        after, before = new.to_dict()[key], old.to_dict()[key]
        if after is not None and before is not None and round(after, 4) < round(before, 4):
            found.append((name, after, before))
    return tuple(found)
