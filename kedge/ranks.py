"""Ranks: the processes that train one detector together, each on its share of a batch.

A loss is a sum over a count. The processes average their gradients, so that each has to divide its
own sum by the mean count of all: ``sum / per_rank(count)``; the average is then what one process
says of the whole batch. All ranks have to take every step of a training, as they have to anyway.
Alone, every function here gives what it is given.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def num_ranks() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _several() else 1


def this_rank() -> int:
    """The number of this one, from 0; rank 0 writes."""
    return dist.get_rank() if _several() else 0


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


def over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without a graph, on its device.

    Outside of training (``torch.no_grad``) it is the tensor itself: a rank that looks at a loss
    alone waits for nobody.
    """
    value = value.detach()
    if num_ranks() == 1 or not torch.is_grad_enabled():
        return value
    total = value.to(_home(), copy=True)
    dist.all_reduce(total)
    return total.to(value.device)


def per_rank(count: Tensor | float, at_least: float | Tensor = 0.0) -> Tensor:
    """What the sum of this rank is divided by: the ``count`` () of all ranks, but ``at_least`` so
    much, divided by their number. Without a graph; float. A number is counted in float32, whatever
    the precision of the loss: 65,520 anchors are infinitely many in float16."""
    total = count if isinstance(count, Tensor) else torch.tensor(float(count))
    return over_ranks(total).clamp(min=at_least) / num_ranks()


def gathered(rows: Tensor) -> Tensor:
    """(N, ...) the rows (n, ...) of all ranks, in the order of the ranks; n may differ, also 0."""
    if num_ranks() == 1:
        return rows
    mine = rows.detach().to(_home()).contiguous()
    counts = [torch.zeros(1, dtype=torch.int64, device=mine.device) for _ in range(num_ranks())]
    dist.all_gather(counts, torch.tensor([len(mine)], device=mine.device))
    longest = int(torch.cat(counts).max())
    padded = F.pad(mine, (0, 0) * (mine.ndim - 1) + (0, longest - len(mine)))
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts)]).to(rows.device)


def as_on_first_(tensors: Iterable[Tensor]) -> None:
    """Gives ``tensors`` the values that they have on rank 0, in place."""
    if num_ranks() == 1:
        return
    for tensor in tensors:
        there = tensor.detach().to(_home()).contiguous()
        dist.broadcast(there, src=0)
        tensor.detach().copy_(there)


def wait_for_all() -> None:
    """Goes on when every rank has come here."""
    if num_ranks() > 1:
        dist.barrier()


def _home() -> torch.device:
    """Where tensors have to be to be sent: NCCL sends from its GPU alone."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
