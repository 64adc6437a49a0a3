"""Candidates of a rule by which every anchor inside some target has a price for every target:
the pairs that can be cheap enough, without pricing all."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import enlarged
from kedge.assign.shared.candidates import with_more, with_overlapping
from kedge.boxes import centres
from kedge.types import Predictions

REACHES = (4.0, 12.0, 42.0)  # strides; beyond 41 every cost is infinite

Price = Callable[[Pairs], tuple[Tensor, Tensor]]
Claim = Callable[[Pairs, Tensor, Tensor], Tensor]


def affordable(
    inside: Pairs,
    predictions: Predictions,
    price: Price,
    claim: Claim,
    least: Callable[[float], float],
) -> tuple[Pairs, Tensor, Tensor]:
    """The pairs of the anchors ``inside`` some target with every target that may want them, and the
    overlap and cost (P,) that ``price`` gives them.

    A target wants what ``claim(pairs, overlap, cost)`` (P,) marks. An anchor whose predicted box
    does not touch a target costs it at least ``least(strides)``, more than so many strides away.
    So first come the pairs that touch; then, ring by ring, those around targets that would take
    something dearer than that.
    """
    pairs, _ = with_overlapping(inside, predictions)
    overlap, cost = price(pairs)
    claimed, seen = claim(pairs, overlap, cost), 0.0
    for reach in REACHES:
        poor = _poor(pairs, cost, claimed, least(seen))
        if not bool(poor.any()):
            break
        near = _around(inside, poor, reach)
        pairs, old = with_more(pairs, near.anchor, near.target)
        fresh = price(pairs.select(~old))  # only these: the others have their price
        overlap, cost = (_merged(old, a, b) for a, b in zip((overlap, cost), fresh))
        claimed, seen = claim(pairs, overlap, cost), reach
    return pairs, overlap, cost


def _poor(pairs: Pairs, cost: Tensor, claimed: Tensor, least: float) -> Tensor:
    """(G,) bool: targets that want something dearer than ``least``, or nothing."""
    dearest = pairs.max_per_target(torch.where(claimed, cost, -torch.inf))
    return ~pairs.targets.ignore & ((dearest > least) | (dearest == -torch.inf))


def _around(inside: Pairs, poor: Tensor, reach: float) -> Pairs:
    """Of the anchors ``inside`` some target those within ``reach`` strides of the ``poor`` ones."""
    targets, strides = inside.targets, inside.anchors.level_strides().to(inside.targets.boxes)
    point = centres(targets.boxes)[:, None].repeat(1, len(strides), 2)
    asked = replace(targets, ignore=~poor)
    near = inside.anchors.inside(asked, enlarged(point, 2 * reach * strides))
    return near.select(near.shares_anchor(inside))


def _merged(old: Tensor, before: Tensor, fresh: Tensor) -> Tensor:
    """(P,) the values ``before`` where ``old`` (P,) is true, ``fresh`` elsewhere."""
    return before.new_empty(len(old)).masked_scatter(old, before).masked_scatter(~old, fresh)
