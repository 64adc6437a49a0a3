"""Contested anchors: which of several targets that want an anchor gets it."""

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import pick, where


def winners(pairs: Pairs, by: Tensor) -> Tensor:
    """(P,) bool: for every anchor the one pair of largest ``by`` (P,), the lowest target among
    equals.

    ``Pairs.best_target_per_anchor`` as a mask, for strategies that carry values along with the
    pairs.
    """
    best = by >= pairs.max_per_anchor(by)
    order = -pairs.target.double()
    return best & (order == pairs.max_per_anchor(torch.where(best, order, -torch.inf)))


def contested(pairs: Pairs) -> Tensor:
    """(P,) bool: whether two or more targets have a pair with the pair's anchor."""
    target = pairs.target.double()
    return pairs.max_per_anchor(target) > -pairs.max_per_anchor(-target)


def settle(pairs: Pairs, claimed: Tensor, by: Tensor) -> Tensor:
    """(P,) bool: one pair for every ``claimed`` (P,) anchor.

    An anchor that several targets claim goes to the target of largest ``by`` (P,) among all of the
    anchor's pairs, even to one that did not claim it.
    """
    own = pairs.select(claimed)
    disputed = own.select(contested(own))
    rows = where(pairs.shares_anchor(disputed))
    won = pick(rows, where(winners(pairs.select(rows), pick(by, rows))))
    return claimed.index_fill(0, rows, False).index_fill_(0, won, True)
