"""Rows of a tensor: which ones are meant, and what stands there, fast on every device.

Indexing is slow on a processor, so what is picked there many times is picked in another way; the
values are the same.
"""

import numpy as np
import torch
from torch import Tensor

BY_NUMPY = 0  # rows from which numpy looks at a mask on a processor, several times faster
BY_PLACE = 1 << 10  # picked values from which their place in memory is, on a processor
SHORT = 256  # columns up to which numpy parts a row faster than torch finds its largest
AS_ONE = 1 << 12  # picked rows from which it takes narrow ones as one number each
_NUMBER = {8: torch.int64, 16: torch.complex128}  # of so many bytes


def pick(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` for rows (P,): several times faster on a CPU than indexing."""
    if index.ndim != 1:
        return values[index]
    if index.shape[0] >= AS_ONE and _narrow(values):
        number = _NUMBER[values.shape[1] * values.element_size()]
        return values.view(number)[:, 0].index_select(0, index)[:, None].view(values.dtype)
    return values.index_select(0, index)


def _narrow(values: Tensor) -> bool:
    """Whether a row of ``values`` can be read as one number."""
    if values.ndim != 2 or values.requires_grad or values.device.type != "cpu":
        return False
    columns = values.shape[1]
    known = columns > 1 and columns * values.element_size() in _NUMBER
    return known and values.is_contiguous() and not values.storage_offset() % columns


def pick_boxes(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` of boxes (N, 4) for rows (P,), in memory coordinate by coordinate: what is
    computed of many boxes then reads in order. Picking rows from that again is slow.

    Few of many stay as they are, for all would be copied first."""
    if values.shape[0] > index.shape[0] and not values.T.is_contiguous():
        return pick(values, index)
    return values.T.index_select(1, index).T


def pick_each(values: Tensor, index: Tensor, column: Tensor) -> Tensor:
    """(P, ...) ``values[index, column]`` of values (M, C, ...), for rows and columns (P,)."""
    by_place = index.shape[0] >= BY_PLACE and values.device.type == "cpu"
    if values.requires_grad or not by_place or not values.is_contiguous():
        return values[index, column]
    return pick(values.flatten(0, 1), torch.add(column, index, alpha=values.shape[1]))


def where(mask: Tensor) -> Tensor:
    """(K,) rows at which ``mask`` (P,) is true."""
    if mask.device.type == "cpu" and mask.shape[0] >= BY_NUMPY:
        return torch.from_numpy(mask.numpy().nonzero()[0])
    return mask.nonzero()[:, 0]


def kth_largest(values: Tensor, k: int) -> Tensor:
    """(R, 1) the ``k``-th largest of every row of ``values`` (R, K)."""
    short = values.shape[1] <= SHORT and values.device.type == "cpu"
    if short and values.dtype in (torch.float32, torch.float64):
        at = values.shape[1] - k
        return torch.from_numpy(np.partition(values.numpy(), at, axis=1)[:, at : at + 1])
    return values.topk(k, dim=1).values[:, -1:]


def both(mask: Tensor) -> Tensor:
    """(P,) where ``mask`` (P, 2) is true twice; ``all`` is slow on so short a dimension."""
    return mask[:, 0] & mask[:, 1]
