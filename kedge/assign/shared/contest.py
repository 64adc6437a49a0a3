"""Contested anchors: which of several targets that want an anchor gets it."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.table import few_launches
from kedge.anchors.segments import total
from kedge.rows import pick, where


def contested(pairs: Pairs, claimed: Tensor) -> Tensor:
    """(P,) bool: whether two or more targets claim the pair's anchor, by pairs that are ``claimed``
    (P,); every pair stands there once."""
    slot, count = pairs.slots()
    return pick(total(claimed.int(), slot, count), slot) > 1


def settle(pairs: Pairs, claimed: Tensor, by: Tensor) -> Tensor:
    """(P,) bool: one pair for every ``claimed`` (P,) anchor.

    An anchor that several targets claim goes to the target of largest ``by`` (P,) among all of the
    anchor's pairs, even to one that did not claim it.
    """
    disputed = contested(pairs, claimed)
    if few_launches(pairs.targets):
        return torch.where(disputed, pairs.wins_anchor(by), claimed)
    rows = where(disputed)
    if len(rows) == 0:
        return claimed
    return claimed.scatter(0, rows, pairs.select(rows).wins_anchor(pick(by, rows)))
