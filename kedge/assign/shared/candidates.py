"""Candidates of rules that price every anchor for every target: those whose predictions overlap."""

from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.predicted import overlapping_predictions
from kedge.anchors.segments import fits_a_table, marked, rank_below, total, wide
from kedge.rows import pick, where
from kedge.types import Predictions


def dynamic_k(overlap: Tensor, target: Tensor, count: int, k: int) -> Tensor:
    """(G,) how many anchors each of ``count`` targets wants: the integer part of the sum of its
    ``k`` largest overlaps (P,), at least one."""
    top = rank_below(overlap, target, count, k, largest=True) < k
    return total(wide(overlap * top), target, count).to(overlap.dtype).int().clamp(min=1)


def cheapest(cost: Tensor, target: Tensor, wanted: Tensor, k: int) -> Tensor:
    """(P,) bool: the ``wanted`` (G,) pairs, at most ``k``, of every target that ``cost`` (P,)
    least."""
    return rank_below(cost, target, len(wanted), k) < pick(wanted, target)


def with_overlapping(pairs: Pairs, predictions: Predictions) -> tuple[Pairs, Tensor]:
    """The pairs, and those of their anchors with any target that the anchor's *predicted* box
    overlaps.

    Ordered by target, then anchor. The second value (P,) marks the pairs that were there before.
    """
    rows = pairs.distinct_anchors()
    anchor, target, _ = overlapping_predictions(
        pairs.anchors, pairs.targets, predictions, 0.0, among=rows
    )
    return with_more(pairs, anchor, target)


def with_more(pairs: Pairs, anchor: Tensor, target: Tensor) -> tuple[Pairs, Tensor]:
    """The pairs and those of ``anchor`` and ``target`` (Q,), each once, by target, then anchor.

    The second value (P,) marks the pairs that were there before.
    """
    width, targets = pairs.anchors.per_image, pairs.targets
    size = 0 if width is None else width * len(targets)
    if width and fits_a_table(size, len(pairs) + len(anchor), anchor.device):
        first = (targets.image - torch.arange(len(targets), device=anchor.device)) * width
        own = marked(pairs.anchor - pick(first, pairs.target), size)
        key = where(own.clone().index_fill_(0, anchor - pick(first, target), True))
        target = key.div(width, rounding_mode="floor")
        joined = replace(pairs, anchor=key + pick(first, target), target=target, _iou=None)
        return joined, pick(own, key)
    anchor, target = torch.cat([pairs.anchor, anchor]), torch.cat([pairs.target, target])
    own = torch.arange(len(anchor), device=anchor.device) < len(pairs)
    key = target * pairs.num_rows() + anchor
    key, order = key.sort(stable=True)
    new = torch.ones_like(own)  # a pair found twice keeps its first row, which was there before
    new[1:] = key[1:] != key[:-1]
    rows = pick(order, where(new))
    joined = replace(pairs, anchor=pick(anchor, rows), target=pick(target, rows), _iou=None)
    return joined, pick(own, rows)
