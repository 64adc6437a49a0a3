"""Sums, extremes and ranks over segments: one number per row, one segment id per row.

The same operations as ``Pairs`` has per target, for any other grouping: a level of a target, an
image, an anchor.
"""

import torch
from torch import Tensor

from kedge.rows import pick, where

IN_ORDER = 1 << 13  # rows from which it is faster on a processor to look up what has been sorted
SAMPLE = 8  # of so many rows one is sampled before many are ranked
SAMPLED = 1 << 12  # rows from which that pays on a processor


def search(values: Tensor, asked: Tensor) -> Tensor:
    """(P,) the first place in ascending ``values`` (N,) that is not below ``asked`` (P,).

    On a processor many are looked up in their order: what is near is in the cache then.
    """
    if len(asked) < IN_ORDER or asked.device.type != "cpu":
        return torch.searchsorted(values, asked)
    asked, order = asked.sort()
    found = torch.searchsorted(values, asked)
    return torch.empty_like(found).scatter_(0, order, found)


TABLE = 1 << 22  # up to here a table over all ids may be cheaper than sorting those that occur
SMALL = 1 << 18  # up to here it always is
ON_A_GPU = 1 << 24  # the same where a fill costs a launch, and sorting ten and a wait
SORTING = 64  # what an id costs in a sort, in table entries
NUMBERS = 4  # the same in a table of numbers so large that it leaves the cache, as in memory
MARKS = 16  # the same where an entry is a byte


def fits_a_table(total: int, ids: int, device: torch.device, large: int = NUMBERS) -> bool:
    """Whether a table of ``total`` entries costs less than sorting so many ``ids``; ``large``: what
    an id costs beside a table beyond the cache."""
    small = SMALL if device.type == "cpu" else ON_A_GPU
    return total <= max(small, min(TABLE, SORTING * ids), large * ids)


def isin(ids: Tensor, of: Tensor, total: int) -> Tensor:
    """(P,) bool: which ``ids`` (P,) are in ``of`` (Q,); int64, all below ``total``."""
    if len(of) == 0:
        return torch.zeros_like(ids, dtype=torch.bool)
    if fits_a_table(total, len(ids) + len(of), ids.device, MARKS):
        return pick(marked(of, total), ids)
    of = of.sort().values
    return pick(of, search(of, ids).clamp_(max=len(of) - 1)) == ids


def difference(ids: Tensor, gone: Tensor, total: int) -> Tensor:
    """(K,) sorted: the distinct ``ids`` (P,) that are not in ``gone`` (Q,); int64, all below
    ``total``."""
    if fits_a_table(total, len(ids) + len(gone), ids.device, MARKS):
        return where(marked(ids, total).index_fill_(0, gone, False))
    ids = ids.unique()
    return pick(ids, where(~isin(ids, gone, total)))


def distinct(ids: Tensor, total: int) -> Tensor:
    """(U,) sorted: the ``ids`` (P,), each once; int64, all below ``total``."""
    if fits_a_table(total, len(ids), ids.device, MARKS):
        return where(marked(ids, total))
    return ids.unique()


def marked(ids: Tensor, total: int) -> Tensor:
    """(total,) bool: whether a number is one of ``ids`` (P,)."""
    return torch.zeros(total, dtype=torch.bool, device=ids.device).index_fill_(0, ids, True)


def rank(values: Tensor, segment: Tensor, largest: bool = False) -> Tensor:
    """(P,) the place of every row within its segment: 0 is the smallest of ``values`` (P,).

    ``segment`` (P,) int64, below 2^31. Equal values: the earlier row first.
    """
    order, ordered = _by_segment(-values if largest else values, segment)
    place = torch.arange(len(order), device=order.device)
    return torch.empty_like(place).scatter_(0, order, place - _first(ordered))


def _first(segment: Tensor) -> Tensor:
    """(P,) the first row of every row's segment, of ascending ones (P,)."""
    if len(segment) < IN_ORDER or segment.device.type != "cpu":
        return torch.searchsorted(segment, segment)
    start = torch.ones_like(segment, dtype=torch.bool)
    torch.ne(segment[1:], segment[:-1], out=start[1:])
    place = torch.arange(len(segment), device=segment.device)
    return torch.where(start, place, 0).cummax(0).values


def rank_below(
    values: Tensor, segment: Tensor, count: int, k: int, largest: bool = False
) -> Tensor:
    """(P,) ``rank`` where that is below ``k``, and ``k`` or more elsewhere, without sorting all.

    The k-th of a sample is no smaller than the k-th of all, so only what reaches it is ranked.
    """
    values = -values if largest else values
    if count == 1 and k < len(values):
        bound = values.topk(k, largest=False).values[-1]
        near = where(~(values > bound))  # NaN is the largest, and stays
    elif values.device.type != "cpu" or len(values) < max(SAMPLED, 4 * SAMPLE * k * count):
        return rank(values, segment)
    else:
        some, of = values[::SAMPLE], segment[::SAMPLE]
        last = where(rank(some, of) == k - 1)
        bound = values.new_full((count,), torch.inf).scatter_(0, pick(of, last), pick(some, last))
        near = where(~(values > pick(bound, segment)))
    place = rank(pick(values, near), pick(segment, near))
    return torch.full_like(segment, k).scatter_(0, near, place)


def _by_segment(values: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    """Stable order (P,) by segment, then value, and the segment of every place."""
    if values.dtype != torch.float32:
        order = torch.argsort(values, stable=True)
        order = order[torch.argsort(segment[order], stable=True)]
    else:
        order = (segment << 32).add_(_bits(values)).sort(stable=True).indices
    return order, pick(segment, order)


def _bits(values: Tensor) -> Tensor:
    """(P,) int32 in the order of ``values`` (P,) float32."""
    bits = (values + 0.0).contiguous().view(torch.int32)  # + 0.0: minus zero has other bits
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def first_largest(values: Tensor, order: Tensor, segment: Tensor, count: int) -> Tensor:
    """(P,) bool: the row of largest ``values`` (P,) in every segment, the lowest ``order`` (P,)
    int64, below 2^32, among equals; NaN is above all numbers."""
    if values.dtype == torch.float32:
        key = (_bits(values).long() << 32) - order
        top = key.new_full((count,), torch.iinfo(key.dtype).min)
        return pick(top.scatter_reduce_(0, segment, key, "amax"), segment) == key
    best = values >= pick(largest(values, segment, count), segment)
    place = torch.where(best, order, 1 << 32)  # the losers stand behind all
    lowest = torch.full((count,), 1 << 32, device=place.device)
    lowest.scatter_reduce_(0, segment, place, "amin")
    return best & (pick(lowest, segment) == place)


def count_of(segment: Tensor, count: int) -> Tensor:
    """(count,) int64 rows of every segment; ``bincount`` makes the host wait on a GPU."""
    none = torch.zeros(count, dtype=torch.int64, device=segment.device)
    return none.scatter_add_(0, segment, torch.ones_like(segment))


def total(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """(count,) sum of ``values`` per segment; 0 for an empty one."""
    return values.new_zeros(count).index_add_(0, segment, values)


def wide(values: Tensor) -> Tensor:
    """``values`` in double precision, where the device has it."""
    return values.float() if values.device.type == "mps" else values.double()


def mean(values: Tensor, segment: Tensor, count: int, rows: Tensor | None = None) -> Tensor:
    """(count,) mean per segment, in double precision; 0 for an empty one. ``rows`` (count,): of
    every segment, where they are known.

    Exact where all values of a segment are equal: it is taken of what exceeds the smallest.
    """
    rows = count_of(segment, count) if rows is None else rows
    base = smallest(values, segment, count).nan_to_num_(nan=0, posinf=0, neginf=0)
    above = total(wide(values - pick(base, segment)), segment, count)
    return base + above / rows.clamp(min=1)


def largest(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """(count,) maximum per segment; -inf for an empty one."""
    return values.new_full((count,), -torch.inf).scatter_reduce_(0, segment, values, "amax")


def smallest(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """(count,) minimum per segment; inf for an empty one."""
    return values.new_full((count,), torch.inf).scatter_reduce_(0, segment, values, "amin")


def logsumexp(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """(count,) ``log(sum(exp(values)))`` per segment, without overflow; -inf for an empty one."""
    top = largest(values, segment, count)
    shift = top.nan_to_num(nan=0, posinf=0, neginf=0)
    return total(torch.exp(values - shift[segment]), segment, count).log() + shift
