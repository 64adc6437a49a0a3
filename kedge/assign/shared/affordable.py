"""Candidates of a rule by which every anchor inside some target has a price for every target:
the pairs that can be cheap enough, without pricing all."""

from collections.abc import Callable

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.predicted import overlapping_predictions
from kedge.anchors.queries.regions import enlarged
from kedge.anchors.queries.table import few_launches
from kedge.anchors.segments import rank_below
from kedge.assign.shared.candidates import with_more, with_overlapping
from kedge.assign.shared.contest import contested
from kedge.assign.shared.costs import predicted_boxes
from kedge.boxes import centres, iou
from kedge.rows import pick, where
from kedge.types import Predictions

REACHES = (4.0, 12.0, 42.0)  # strides; beyond 41 every cost is infinite
MANY, ON_A_GPU = 1 << 14, 1 << 22  # anchors inside from which to look for those that can matter

Price = Callable[[Pairs], tuple[Tensor, Tensor]]
Claim = Callable[[Pairs, Tensor, Tensor], Tensor]


def affordable(
    inside: Pairs,
    predictions: Predictions,
    price: Price,
    claim: Claim,
    k: int,
    guess: Callable[[Pairs, Tensor], Tensor],
    worth: Callable[[Tensor], Tensor],
    least: Callable[[float], float],
) -> tuple[Pairs, Tensor, Tensor, Tensor]:
    """Pairs that decide who gets which anchor ``inside`` some target, their overlap and cost, which
    ``price`` gives, and which are claimed: (P,) each.

    A target claims what ``claim(pairs, overlap, cost)`` (P,) marks, at most its ``k`` cheapest and
    by its ``k`` largest overlaps. No pair costs less than ``guess(pairs, overlap)`` (P,), and what
    costs no more than ``cost`` overlaps the target by ``worth(cost)``: so what the ``k`` cheapest
    by the guess cost says which pairs can matter. An anchor whose predicted box does not touch a
    target costs it at least ``least(strides)``, more than so many strides away: ring by ring those
    are added around targets that would take something dearer. An anchor that several claim is
    priced for all targets that it touches.
    """
    many = MANY if inside.anchor.device.type == "cpu" else ON_A_GPU
    if few_launches(inside.targets) or len(inside) < many:
        pairs, _ = with_overlapping(inside, predictions)
        return _near(inside, pairs, price, claim, least)
    targets, valid = inside.targets, inside.distinct_anchors()
    said = iou(predicted_boxes(predictions, inside), inside.target_boxes())
    kept, dearest, least_overlap = _enough(inside, said, price, k, guess)
    floor = torch.minimum(worth(dearest), least_overlap)
    floor = torch.where(dearest < torch.inf, floor, 0)
    anchor, target, value = overlapping_predictions(
        inside.anchors, targets, predictions, floor, among=valid
    )
    near = Pairs(anchors=inside.anchors, targets=targets, anchor=anchor, target=target)
    matters = ~(guess(near, value) > pick(dearest, target))
    rows = where(matters | (value >= pick(least_overlap, target)))
    pairs, _ = with_more(inside.select(kept), pick(anchor, rows), pick(target, rows))
    pairs, overlap, cost, claimed = _near(inside, pairs, price, claim, least)
    lost = pairs.select(claimed & contested(pairs, claimed))
    rest = inside.select(inside.shares_anchor(lost))
    anchor, target, _ = overlapping_predictions(
        inside.anchors, targets, predictions, 0.0, among=lost.distinct_anchors()
    )
    anchor, target = torch.cat([rest.anchor, anchor]), torch.cat([rest.target, target])
    pairs, overlap, cost, old = _with(pairs, overlap, cost, anchor, target, price)
    return pairs, overlap, cost, torch.zeros_like(old).masked_scatter(old, claimed)


def _near(
    inside: Pairs, pairs: Pairs, price: Price, claim: Claim, least: Callable[[float], float]
) -> tuple[Pairs, Tensor, Tensor, Tensor]:
    """The pairs and those around targets that want something dear, overlap, cost and claims."""
    overlap, cost = price(pairs)
    claimed, seen = claim(pairs, overlap, cost), 0.0
    for reach in REACHES:
        poor = _poor(pairs, cost, claimed, least(seen))
        if not bool(poor.any()):
            break
        near = _around(inside, poor, reach)
        pairs, overlap, cost, _ = _with(pairs, overlap, cost, near.anchor, near.target, price)
        claimed, seen = claim(pairs, overlap, cost), reach
    return pairs, overlap, cost, claimed


def _enough(
    inside: Pairs,
    said: Tensor,
    price: Price,
    k: int,
    guess: Callable[[Pairs, Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """(P,) bool: the pairs that can be among the ``k`` cheapest or best overlapping of their
    target; (G,) what the former cost at most, infinity where that is not known, and the overlap
    that the latter have at least."""
    bound, count = guess(inside, said), len(inside.targets)
    first = inside.select(rank_below(bound, inside.target, count, k) < k)
    dearest = first.max_per_target(price(first)[1])
    dearest = dearest + (1e-2 + 1e-4 * dearest.abs())  # costs are rounded
    full = (first.count_per_target() == k) & (dearest < torch.inf)
    dearest = torch.where(full, dearest, torch.inf)
    top = where(rank_below(said, inside.target, count, k, largest=True) < k)
    least = inside.select(top).min_per_target(pick(said, top))
    kept = ~(bound > pick(dearest, inside.target))  # NaN stays
    return kept.index_fill_(0, top, True), dearest, least


def _with(
    pairs: Pairs, overlap: Tensor, cost: Tensor, anchor: Tensor, target: Tensor, price: Price
) -> tuple[Pairs, Tensor, Tensor, Tensor]:
    """The pairs and those of ``anchor`` and ``target`` (Q,), each once, with overlap and cost; only
    the new ones are priced. The last value (P,) marks the old."""
    joined, old = with_more(pairs, anchor, target)
    fresh = price(joined.select(~old))
    overlap, cost = (_merged(old, a, b) for a, b in zip((overlap, cost), fresh))
    return joined, overlap, cost, old


def _poor(pairs: Pairs, cost: Tensor, claimed: Tensor, least: float) -> Tensor:
    """(G,) bool: targets that want something dearer than ``least``, or nothing."""
    dearest = pairs.max_per_target(torch.where(claimed, cost, -torch.inf))
    return ~pairs.targets.ignore & ((dearest > least) | (dearest == -torch.inf))


def _around(inside: Pairs, poor: Tensor, reach: float) -> Pairs:
    """Of the anchors ``inside`` some target those within ``reach`` strides of the ``poor`` ones."""
    targets, strides = inside.targets, inside.anchors.level_strides().to(inside.targets.boxes)
    point = centres(targets.boxes)[:, None].repeat(1, len(strides), 2)
    near = inside.anchors.inside(targets.only(poor), enlarged(point, 2 * reach * strides))
    return near.select(near.shares_anchor(inside))


def _merged(old: Tensor, before: Tensor, fresh: Tensor) -> Tensor:
    """(P,) the values ``before`` where ``old`` (P,) is true, ``fresh`` elsewhere."""
    return before.new_empty(len(old)).masked_scatter(old, before).masked_scatter(~old, fresh)
