"""The cheapest matching of every row with a column of its own, from few of the costs.

A row's few cheapest edges are enough as long as no other could have paid. The duals of the matching
found say that: they put a price on every row, and an edge that costs more than its row's price is
in no cheaper matching. Rows whose price is above the dearest edge that was looked at are looked at
again, deeper. In the end the matching is that of the whole matrix, with a certificate.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

FIRST = 32  # edges of a row that are looked at first
ROUNDING = 1e-12  # of the largest cost: what two sums of costs may differ by
Cheapest = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def cheapest_matching(
    count: int, width: int, cheapest: Cheapest, deepest: int | None = None
) -> Tensor:
    """(count,) int64: the column of every row in a matching of least total cost.

    ``width >= count`` columns. ``cheapest(rows (R,), k)`` gives columns and finite costs (R, k) of
    these rows' ``k`` cheapest edges, ascending. No row is asked for more than ``deepest``, the rows
    that have columns in common, all of them unless given: if it had a dearer one, one of its
    ``deepest`` cheapest would not be used by the ``deepest - 1`` other rows.

    Solved on the CPU in double precision, with scipy where it is installed, else with
    `shortest_paths`, exact as well. Where several matchings cost the same, which one is taken may
    depend on that. Memory grows with the edges looked at, ``FIRST * count`` as a rule.
    """
    deepest = count if deepest is None else deepest
    depth = np.full(count, min(FIRST, deepest))
    again = np.arange(count)
    column = np.zeros((0,), dtype=np.int64)
    row, price, dearest = column, column.astype(float), np.zeros(count)
    mate: np.ndarray | None = column
    while len(again):
        keep = ~np.isin(row, again)
        row, column, price = row[keep], column[keep], price[keep]
        for k in np.unique(depth[again]).tolist():
            rows = again[depth[again] == k]
            found = cheapest(torch.from_numpy(rows), k)
            to, cost = (part.detach().cpu().numpy().reshape(-1) for part in found)
            row, column = np.append(row, rows.repeat(k)), np.append(column, to)
            price = np.append(price, cost.astype(float))
            dearest[rows] = cost.reshape(-1, k)[:, -1]
        order = np.argsort(row, kind="stable")
        row, column, price = row[order], column[order], price[order]
        first = column[np.searchsorted(row, np.arange(count))]
        if len(np.unique(first)) == count:  # every row has its cheapest edge
            mate = first
            break
        mate = _solved(row, column, price, count, width)
        deeper = True if mate is None else _paid(row, column, price, mate, width) > dearest
        again = np.flatnonzero(deeper & (depth < deepest))
        depth[again] = np.minimum(2 * depth[again], deepest)
    assert mate is not None  # every row with `deepest` edges has a column of its own
    return torch.from_numpy(mate)


def heaviest_matching(row: Tensor, column: Tensor, weight: Tensor, count: int) -> Tensor:
    """(E,) bool: the edges of a matching of largest total weight, of ``row`` (E,), ascending and
    below ``count``, with ``column`` (E,); ``weight`` (E,) finite and >= 0.

    Rows and columns may stay alone: every row has one more column of its own, at weight 0. Solved
    on the CPU in double precision, like `cheapest_matching`.
    """
    if count == 0:
        return torch.zeros_like(row, dtype=torch.bool)
    names, place = column.unique(return_inverse=True)
    alone, width = torch.arange(count, device=row.device), len(names)
    every = torch.cat([row, alone])
    order = torch.argsort(every, stable=True)
    price = torch.cat([-weight, weight.new_zeros(count)])[order].double()
    to = torch.cat([place, width + alone])[order]
    edges, to, price = (values.cpu().numpy() for values in (every[order], to, price))
    found = _solved(edges, to, price, count, width + count)
    assert found is not None  # every row has a column of its own
    return place == torch.from_numpy(found).to(row.device)[row]


def _solved(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, count: int, width: int
) -> np.ndarray | None:
    """Column (R,) of every row in the cheapest matching of these edges, or None: there is none."""
    seen = np.zeros(width, dtype=bool)
    seen[column] = True
    names, dense = np.flatnonzero(seen), (seen.cumsum() - 1)[column]
    if len(names) < count:
        return None
    try:
        mate = _scipy(row, dense, price, count, len(names))
    except ImportError:
        mate = shortest_paths(row, dense, price, count, len(names))
    return None if mate is None else names[mate]


def _paid(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, mate: np.ndarray, width: int
) -> np.ndarray:
    """(R,) the price u of every row under the largest feasible prices v <= 0 of the columns.

    u + v <= cost on every edge, equal on those of the matching, and v = 0 where a column is free:
    v is a shortest path from anywhere (0) along "take this column, give mine back".
    """
    own = np.empty(len(mate))
    matched = column == mate[row]
    own[row[matched]] = price[matched]
    giver, cost = mate[row[~matched]], price[~matched] - own[row[~matched]]
    taken = column[~matched]
    v, slack = np.zeros(width), ROUNDING * np.abs(price).max(initial=1.0)
    while True:
        offer = v[giver] + cost
        better = offer < v[taken] - slack
        if not better.any():
            return own - v[mate]
        np.minimum.at(v, taken[better], offer[better])


def _scipy(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, count: int, width: int
) -> np.ndarray | None:
    """Column (R,) of every row, by scipy's sparse solver."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # a stored zero is no edge there, so all costs are moved above zero, by the same in every match
    positive = price - price.min() + 1
    table = csr_array((positive, (row, column)), shape=(count, width))
    try:
        found = min_weight_full_bipartite_matching(table)
    except ValueError:  # no matching covers every row
        return None
    out = np.empty(count, dtype=np.int64)
    out[found[0]] = found[1]
    return out


def shortest_paths(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, count: int, width: int
) -> np.ndarray | None:
    """Column (R,) of every row, or None where no matching covers all: successive shortest
    augmenting paths with potentials (Jonker-Volgenant).

    One row after the other enters; the cheapest alternating path from it to a free column is found
    by Dijkstra's algorithm over reduced costs, vectorised over a row's edges, and flipped. O(R *
    E) or better.
    """
    start = np.searchsorted(row, np.arange(count + 1))
    edges = [slice(a, b) for a, b in pairwise(start.tolist())]
    u, v = np.zeros(count), np.zeros(width)
    owner, mate = np.full(width, -1), np.full(count, -1)
    for entering in range(count):
        distance, via = np.full(width, np.inf), np.full(width, -1)
        done = np.zeros(width, dtype=bool)
        at, reached, rows = entering, 0.0, [entering]
        while True:
            part = column[edges[at]]
            offer = reached + price[edges[at]] - u[at] - v[part]
            better = (offer < distance[part]) & ~done[part]
            distance[part[better]], via[part[better]] = offer[better], at
            ahead = np.where(done, np.inf, distance)
            nearest = int(ahead.argmin())
            reached = ahead[nearest]
            if not np.isfinite(reached):
                return None
            done[nearest] = True
            if owner[nearest] < 0:
                break
            at = int(owner[nearest])
            rows.append(at)
        settled = np.flatnonzero(done)
        for inner in rows[1:]:
            u[inner] += reached - distance[mate[inner]]
        u[entering] += reached
        v[settled] -= reached - distance[settled]
        while nearest >= 0:  # flip the path
            giver = int(via[nearest])
            owner[nearest] = giver
            nearest, mate[giver] = (int(mate[giver]) if giver != entering else -1), nearest
    return mate
