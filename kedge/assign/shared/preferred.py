"""Candidates of SimOTA: most targets find all that they want among those that cost no penalty, and
of the others' overlaps only the largest are looked at."""

from collections.abc import Callable

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.predicted import overlapping_predictions
from kedge.anchors.queries.table import few_launches
from kedge.anchors.segments import rank_below
from kedge.assign.shared.candidates import cheapest, dynamic_k, with_more, with_overlapping
from kedge.assign.shared.contest import contested
from kedge.assign.shared.costs import predicted_boxes
from kedge.boxes import iou
from kedge.rows import pick, where
from kedge.types import Predictions

PENALTY = 1e5  # the cost of a pair whose anchor is not both inside and near the centre
DEAR = PENALTY - 1  # no such pair costs less, as no other term is negative but for rounding

Price = Callable[[Pairs, Tensor], tuple[Tensor, Tensor]]


def preferred(
    own: Pairs, good: Tensor, predictions: Predictions, price: Price, k: int
) -> tuple[Pairs, Tensor, Tensor, Tensor]:
    """Pairs that decide who gets which anchor, their overlap and cost, and which are claimed: (P,)
    each.

    Candidates are the pairs ``own`` and those of their anchors with every target that the anchor's
    predicted box overlaps; ``price(pairs, good)`` adds `PENALTY` to those that are not ``good``
    (P,). A target claims as many of the cheapest as its ``k`` largest overlaps say. So

    - its k-th overlap with good ones bounds from below which of all overlaps can matter;
    - a target with enough good candidates claims no other: only for the rest all are priced;
    - an anchor that several claim costs a good candidate least: only where none is, all are priced.

    On a GPU, where that many operations cost more than they save, all are priced at once.
    """
    targets = own.targets
    if few_launches(targets):
        pairs, old = with_overlapping(own, predictions)
        overlap, cost = price(pairs, torch.zeros_like(old).masked_scatter(old, good))
        wanted = dynamic_k(overlap, pairs.target, len(targets), k)
        return pairs, overlap, cost, cheapest(cost, pairs.target, wanted, k)
    valid = own.distinct_anchors()
    pairs = own.select(good)
    said = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
    least = _kth_largest(said, pairs.target, len(targets), k)
    _, target, largest = overlapping_predictions(
        pairs.anchors, targets, predictions, least, among=valid
    )
    wanted = dynamic_k(largest, target, len(targets), k)
    good = torch.ones_like(pairs.anchor, dtype=torch.bool)
    overlap, cost = price(pairs, good)
    poor = pairs.select(cost < DEAR).count_per_target() < wanted
    poor &= ~targets.ignore
    if bool(poor.any()):
        rest, floor = own.select(pick(poor, own.target)), torch.where(poor, 0.0, torch.inf)
        anchor, target, _ = overlapping_predictions(
            pairs.anchors, targets, predictions, floor, among=valid
        )
        pairs, (good,) = _joined(pairs, rest, anchor, target, good)
        overlap, cost = price(pairs, good)
    claimed = cheapest(cost, pairs.target, wanted, k)
    dear = claimed & (pairs.max_per_anchor(-cost) <= -DEAR)
    lost = pairs.select(dear & contested(pairs, dear))
    if len(lost):
        rest = own.select(own.shares_anchor(lost))
        anchor, target, _ = overlapping_predictions(
            pairs.anchors, targets, predictions, 0.0, among=lost.distinct_anchors()
        )
        pairs, (good, claimed) = _joined(pairs, rest, anchor, target, good, claimed)
        overlap, cost = price(pairs, good)
    return pairs, overlap, cost, claimed


def _joined(
    pairs: Pairs, more: Pairs, anchor: Tensor, target: Tensor, *marks: Tensor
) -> tuple[Pairs, list[Tensor]]:
    """The pairs, ``more`` and those of ``anchor`` and ``target`` (Q,), each once; and the ``marks``
    (P,) bool of the pairs, false at all others."""
    joined, old = with_more(
        pairs, torch.cat([more.anchor, anchor]), torch.cat([more.target, target])
    )
    return joined, [torch.zeros_like(old).masked_scatter(old, mark) for mark in marks]


def _kth_largest(values: Tensor, segment: Tensor, count: int, k: int) -> Tensor:
    """(count,) the ``k``-th largest of ``values`` (P,) in every segment; 0 where there is none."""
    last = where(rank_below(values, segment, count, k, largest=True) == k - 1)
    return values.new_zeros(count).scatter_(0, pick(segment, last), pick(values, last))
