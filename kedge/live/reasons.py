"""Why an object has no anchor: how well it is met, where it ranks, and who took its anchors."""

from typing import TypedDict

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.assign.atss import ATSS
from kedge.assign.max_iou import MaxIoU
from kedge.assign.yolov5 import YOLOv5
from kedge.boxes import sizes
from kedge.counted import count
from kedge.types import Assigner, Assignment, Predictions, Targets

EXPLAINED = 500  # objects of an image
ONE_BY_ONE = 50  # of them where the rule reads predictions: each costs an assignment


class Reason(TypedDict):
    """Why object ``object`` has no anchor.

    ``iou``: with its best anchor, ``box`` (None: it overlaps none). ``rank`` of ``among``: its
    place among the objects that overlap that anchor. ``threshold``: the IoU that the rule asks for,
    None where it asks for none. ``alone``: anchors that it would have if it were the only object,
    None where that was not tried. ``rival``: the object that has most of those.
    """

    object: int
    iou: float
    box: list[float] | None
    rank: int
    among: int
    threshold: float | None
    alone: int | None
    rival: int | None
    words: str


@torch.no_grad()
def reasons(
    rule: Assigner,
    grid: Grid,
    targets: Targets,
    assignment: Assignment,
    predictions: Predictions | None = None,
    only: int | None = None,
) -> list[Reason]:
    """A reason for each object without an anchor, ``EXPLAINED`` at most, or for the object ``only``
    if it has none; crowds are no objects."""
    has = torch.bincount(assignment.target, minlength=len(targets)) > 0
    without = ~has & ~targets.ignore
    if only is not None:
        without &= torch.arange(len(targets)) == only
    lost = without.nonzero()[:EXPLAINED, 0]
    if len(lost) == 0:
        return []
    asked_for = torch.zeros(len(targets), dtype=torch.bool)
    asked_for[lost] = True
    asking = targets.only(asked_for)
    iou, anchor = _best(grid, asking, lost)
    rank, among = _places(grid, targets, lost, anchor, iou)
    asked = thresholds(rule, grid, asking)
    inside = torch.zeros(len(targets), dtype=torch.bool)
    inside[grid.inside(asking).target] = True
    alone = _alone(rule, grid, targets, lost, predictions)
    owner = torch.full((assignment.total,), -1)
    owner[assignment.ignored] = -2
    owner[assignment.anchor] = assignment.target
    found: list[Reason] = []
    for i, target in enumerate(lost.tolist()):
        mine = alone[i] if i < len(alone) else None
        rival, share = _rival(owner, mine)
        limit = None if asked is None else float(asked[target])
        touched = float(iou[i]) > 0
        found.append(
            {
                "object": target,
                "iou": float(iou[i]),
                "box": grid.boxes(anchor[i : i + 1])[0].tolist() if touched else None,
                "rank": int(rank[i]),
                "among": int(among[i]),
                "threshold": limit,
                "alone": None if mine is None else len(mine),
                "rival": rival,
                "words": _words(
                    rule, grid, targets, target, float(iou[i]), limit, mine, owner, rival, share,
                    bool(inside[target]),
                ),
            }
        )  # fmt: skip
    return found


def _best(grid: Grid, asking: Targets, lost: Tensor) -> tuple[Tensor, Tensor]:
    """Largest IoU (K,) of the objects ``lost`` with any anchor, and the lowest such anchor (K,)."""
    best = grid.best(asking)
    iou = torch.zeros(len(asking))
    iou[best.target] = best.iou().to(iou)
    anchor = torch.full((len(asking),), len(grid))
    anchor.scatter_reduce_(0, best.target, best.anchor, "amin")
    return iou[lost], torch.where(iou > 0, anchor, 0)[lost]


def _places(
    grid: Grid, targets: Targets, lost: Tensor, anchor: Tensor, iou: Tensor
) -> tuple[Tensor, Tensor]:
    """Rank (K,) of each object among the objects that overlap its best anchor, and how many these
    are (K,)."""
    touched = (iou > 0).nonzero()[:, 0]
    rank, among = torch.zeros(len(lost), dtype=torch.int64), torch.zeros_like(lost)
    if len(touched) == 0:
        return rank, among
    rows, slot = anchor[touched].unique(return_inverse=True)
    pairs = grid.overlapping(targets, 1e-6, among=rows)
    place = torch.searchsorted(rows, pairs.anchor)
    order = torch.argsort(place, stable=True)
    place, value = place[order], pairs.iou()[order]
    first = torch.searchsorted(place, torch.arange(len(rows)))
    last = torch.searchsorted(place, torch.arange(len(rows)), right=True)
    for row, at in zip(touched.tolist(), slot.tolist()):
        mine = value[first[at] : last[at]]
        among[row] = len(mine)
        rank[row] = 1 + int((mine > iou[row] * (1 + 1e-6)).sum())
    return rank, among


def thresholds(rule: Assigner, grid: Grid, targets: Targets) -> Tensor | None:
    """(G,) IoU that an anchor must reach for each object; None where the rule has no such limit."""
    if isinstance(rule, MaxIoU) and rule.measure == "iou":
        return torch.full((len(targets),), rule.positive)
    if isinstance(rule, ATSS) and rule.side is None:
        pairs = grid.nearest(targets, rule.k)
        mean, deviation = pairs.mean_and_std_per_target(pairs.iou())
        return mean + deviation
    return None


def _alone(
    rule: Assigner, grid: Grid, targets: Targets, lost: Tensor, predictions: Predictions | None
) -> list[Tensor]:
    """The anchors (A,) that each object would have without any other, crowds included; of the
    first ``ONE_BY_ONE`` where predictions are read."""
    if predictions is not None:
        single = [_only(targets, lost[i : i + 1]) for i in range(min(len(lost), ONE_BY_ONE))]
        return [rule(grid, one, predictions).anchor for one in single]
    given = rule(grid, _only(targets, lost))
    order = torch.argsort(given.target, stable=True)
    sizes_ = torch.bincount(given.target, minlength=len(lost)).tolist()
    return list((given.anchor[order] % len(grid)).split(sizes_))


def _only(targets: Targets, rows: Tensor) -> Targets:
    """The objects ``rows``, each in an image of its own."""
    return Targets(
        boxes=targets.boxes[rows],
        labels=targets.labels[rows],
        image=torch.arange(len(rows)),
        batch_size=len(rows),
    )


def _rival(owner: Tensor, mine: Tensor | None) -> tuple[int | None, int]:
    """The object that has most of the anchors ``mine``, and how many of them."""
    if mine is None or len(mine) == 0:
        return None, 0
    others = owner[mine]
    others = others[others >= 0]
    if len(others) == 0:
        return None, 0
    counts = torch.bincount(others)
    return int(counts.argmax()), int(counts.max())


def _words(
    rule: Assigner,
    grid: Grid,
    targets: Targets,
    target: int,
    iou: float,
    limit: float | None,
    mine: Tensor | None,
    owner: Tensor,
    rival: int | None,
    share: int,
    inside: bool,
) -> str:
    name = type(rule).__name__
    if mine is not None and len(mine):
        could = f"Alone it would have {count(len(mine), 'anchor')}"
        if rival is not None:
            which = "it answers" if len(mine) == 1 else f"{share} of them answer"
            return f"{could}; {which} for object {rival + 1}."
        if int((owner[mine] == -2).sum()):
            return f"{could}; they are ignored: a crowd covers them, or they are too close to call."
        return f"{could}; among the others {name} gives it none."
    if iou == 0:
        return "It overlaps no anchor at all."
    if limit is not None and iou < limit:
        return f"No anchor reaches the IoU of {limit:.2f} that {name} asks for."
    if isinstance(rule, YOLOv5):
        side = sizes(targets.boxes[target : target + 1])
        off = torch.maximum(grid.shapes / side, side / grid.shapes).amax(1).min()
        if float(off) >= rule.max_ratio:
            return (
                f"The nearest shape is off by a factor of {float(off):.1f} on a side; "
                f"{name} takes less than {rule.max_ratio:g}."
            )
    if not inside:
        return "No anchor's centre lies inside it."
    if mine is None:
        return f"{name} gives its candidates to others, or to none (not tried alone)."
    return f"{name} takes none of the anchors around it for an object of its size."
