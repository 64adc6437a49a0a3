"""Bags: the anchors that overlap a target most, without looking at all anchors."""

from dataclasses import replace

import torch

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries import table
from kedge.anchors.queries.table import Table
from kedge.types import Anchors, Targets

LADDER = (0.6, 0.35, 0.15, 0.05, 0.0)


@torch.no_grad()
def most_overlapping(
    anchors: Anchors[Pairs], targets: Targets, k: int, few: Table | None = None
) -> Pairs:
    """For every target the ``k`` anchors of largest IoU, ordered by target; equal IoU: the lowest
    anchor.

    A target with fewer than ``k`` anchors at IoU > 0 has all of those. Exact: the threshold comes
    down a ladder, and a target leaves it as soon as ``k`` anchors are above, so that a large
    object never lists every anchor that touches it. ``few``: all pairs, where a table holds them.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if few is not None:
        return table.most_overlapping(anchors, few, k)
    found: list[Pairs] = []
    open_ = ~targets.ignore
    for threshold in LADDER:
        pairs = anchors.overlapping(replace(targets, ignore=~open_), threshold)
        done = (pairs.count_per_target() >= k) if threshold > 0 else torch.ones_like(open_)
        pairs = pairs.select(done[pairs.target])
        found.append(pairs.select(pairs.top_per_target(pairs.iou(), k)))
        open_ = open_ & ~done
    bag = found[0]
    for more in found[1:]:
        bag = bag.join(more)
    return replace(bag, targets=targets)
