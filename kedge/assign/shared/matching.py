"""The cheapest matching of every row with a column of its own."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def cheapest_matching(rows: Tensor, columns: Tensor, cost: Tensor) -> Tensor:
    """(P,) bool: the edges of the matching of least total cost that covers every row, if there is
    one.

    Edges (P,): ``rows`` int64 ascending, ``columns`` int64, ``cost`` finite; each (row, column)
    once. Every row must have an edge, and at least as many edges as there are rows suffice for a
    matching that covers all. Solved on the CPU in double precision, with scipy where it is
    installed, else with `shortest_paths`, exact as well. Where several matchings cost the same,
    which one is taken may depend on that.
    """
    edges = torch.zeros(len(rows), dtype=torch.bool)
    if len(rows) == 0:
        return edges.to(rows.device)
    row, count = _numbered(rows.cpu().numpy())
    column, width = _numbered(columns.cpu().numpy())
    price = cost.detach().double().cpu().numpy()
    try:
        chosen = _scipy(row, column, price, count, width)
    except ImportError:
        chosen = shortest_paths(row, column, price, count, width)
    edges[torch.from_numpy(np.flatnonzero(chosen[row] == column))] = True
    return edges.to(rows.device)


def _numbered(ids: np.ndarray) -> tuple[np.ndarray, int]:
    """The ids (P,) renumbered 0, 1, ... in their order, and how many there are."""
    seen = np.zeros(int(ids.max()) + 1, dtype=bool)
    seen[ids] = True
    return (seen.cumsum() - 1)[ids], int(seen.sum())


def _scipy(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, count: int, width: int
) -> np.ndarray:
    """Column (R,) of every row, by scipy's sparse solver."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # a stored zero is no edge there, so all costs are moved above zero, by the same in every match
    positive = price - price.min() + 1
    table = csr_array((positive, (row, column)), shape=(count, width))
    found = min_weight_full_bipartite_matching(table)
    out = np.empty(count, dtype=np.int64)
    out[found[0]] = found[1]
    return out


def shortest_paths(
    row: np.ndarray, column: np.ndarray, price: np.ndarray, count: int, width: int
) -> np.ndarray:
    """Column (R,) of every row: successive shortest augmenting paths with potentials
    (Jonker-Volgenant).

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
            nearest = int(np.where(done, np.inf, distance).argmin())
            reached = distance[nearest]
            if not np.isfinite(reached):
                raise ValueError("there is no matching that covers every row")
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
