"""The greedy matching: again and again the largest IoU of all objects and anchors still free."""

from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import rank
from kedge.rows import pick, where
from kedge.types import Anchors, Targets

FIRST = 8  # anchors of an object that are looked at first
DEEPER = 4  # times as many, of an object that all of them turn away


def greedy_matching(anchors: Anchors[Pairs], targets: Targets, min_iou: float) -> Pairs:
    """At most one anchor for every target and one target for every anchor, at IoU >= ``min_iou``
    and > 0. Equal IoU: the lower anchor, then the lower target.

    Nobody searches for the largest: every object asks its anchors from the best one on, an anchor
    keeps the best that has asked and turns the others away, who ask on (Gale and Shapley, 1962).
    Both sides prefer the larger IoU, so the outcome is the greedy one in whatever order they ask.
    An object that all its listed anchors turn away gets a longer list.
    """
    k, listed = FIRST, _listed(anchors, targets, FIRST, min_iou)
    at = torch.zeros_like(targets.image)  # the place in its list at which an object asks, or stays
    number = listed.count_per_target()
    complete = (number < k) | targets.ignore
    while True:
        at = _ask(listed, number, at)
        short = (at >= number) & ~complete
        if not short.any():
            break
        k *= DEEPER
        free = targets.only(short)
        longer = replace(_listed(anchors, free, k, min_iou), targets=targets)
        listed = listed.select(~pick(short, listed.target)).join(longer)
        number = listed.count_per_target()
        complete |= short & (number < k)
    first = number.cumsum(0) - number
    return listed.select(pick(first + at, where(at < number)))


def _listed(anchors: Anchors[Pairs], targets: Targets, k: int, min_iou: float) -> Pairs:
    """The best ``k`` anchors of every target, the best one first."""
    pairs = anchors.most_overlapping(targets, k)
    pairs = pairs.select(pairs.iou() >= min_iou)
    pairs = pairs.select(torch.argsort(pairs.anchor, stable=True))
    place = rank(pairs.iou(), pairs.target, largest=True)
    number = pairs.count_per_target()
    first = number.cumsum(0) - number
    row = pick(first, pairs.target) + place
    return pairs.select(
        torch.empty_like(row).scatter_(0, row, torch.arange(len(row), device=row.device))
    )


def _ask(listed: Pairs, number: Tensor, at: Tensor) -> Tensor:
    """(G,) the place in its list at which every target stays, ``number`` (G,) where none of it
    keeps it; ``at`` (G,) is where it begins to ask."""
    slot, slots = listed.slots()
    favour = rank(listed.iou(), slot, largest=True)  # of an anchor for those who list it
    first = number.cumsum(0) - number
    at, kept = at.clone(), torch.full((slots,), len(listed), device=slot.device)
    keeps = torch.full_like(kept, -1)  # the target that an anchor keeps
    asking = where(at < number)
    while len(asking):
        pair = pick(first + at, asking)
        whom, how = pick(slot, pair), pick(favour, pair)
        kept.scatter_reduce_(0, whom, how, "amin")
        yes = how == pick(kept, whom)
        now = where(yes)
        whom = pick(whom, now)
        gone = pick(keeps, whom)
        keeps.scatter_(0, whom, pick(asking, now))
        away = torch.cat([pick(asking, where(~yes)), gone[gone >= 0]])
        at.index_add_(0, away, torch.ones_like(away))
        asking = away[pick(at, away) < pick(number, away)]
    return at
