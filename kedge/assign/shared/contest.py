"""Contested anchors: which of several targets that want an anchor gets it."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.table import few_launches
from kedge.anchors.segments import pick, where


def contested(pairs: Pairs) -> Tensor:
    """(P,) bool: whether a lower target has a pair with the pair's anchor too; true of one pair or
    more of every anchor that several targets have."""
    slot, count = pairs.slots()
    lowest = torch.full((count,), len(pairs.targets), device=slot.device)
    lowest.scatter_reduce_(0, slot, pairs.target, "amin")
    return pick(lowest, slot) < pairs.target


def settle(pairs: Pairs, claimed: Tensor, by: Tensor) -> Tensor:
    """(P,) bool: one pair for every ``claimed`` (P,) anchor.

    An anchor that several targets claim goes to the target of largest ``by`` (P,) among all of the
    anchor's pairs, even to one that did not claim it.
    """
    if few_launches(pairs.targets):
        lowest, highest = _ends(pairs, claimed)
        return torch.where(lowest < highest, pairs.wins_anchor(by), claimed)
    own = pairs.select(claimed)
    disputed = own.select(contested(own))
    if len(disputed) == 0:
        return claimed
    rows = where(pairs.shares_anchor(disputed))
    return claimed.scatter(0, rows, pairs.select(rows).wins_anchor(pick(by, rows)))


def _ends(pairs: Pairs, claimed: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) the lowest and the highest target that claims the pair's anchor; where none does the
    lowest is above the highest."""
    slot, count = pairs.slots()
    nobody = len(pairs.targets)
    lowest = torch.full((count,), nobody, device=slot.device)
    lowest.scatter_reduce_(0, slot, torch.where(claimed, pairs.target, nobody), "amin")
    highest = torch.full((count,), -1, device=slot.device)
    highest.scatter_reduce_(0, slot, torch.where(claimed, pairs.target, -1), "amax")
    return pick(lowest, slot), pick(highest, slot)
