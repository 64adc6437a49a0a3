"""The order of images: a function of the seed and the epoch, of nothing else."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from kedge.data import DetectionDataset

Place = tuple[int, int]  # epoch, index


class EpochSampler(Sampler[Place]):
    """Every index once, in an order drawn from (seed, epoch).

    Of several `ranks` each gets its share of every `batch` of that order, one after the other, so
    that the batches of all together are those of one process. What is left of the last batch is
    nobody's. `batch` has to be a multiple of `ranks`.

    Yields (epoch, index) so that whoever loads the item knows its epoch. `epoch` is asked when a
    pass begins: whoever drives the run sets it.
    """

    def __init__(
        self, size: int, seed: int, *, batch: int = 1, rank: int = 0, ranks: int = 1
    ) -> None:
        assert batch % ranks == 0 or ranks == 1, "every rank has the same share of a batch"
        self.size, self.seed = size, seed
        self.batch, self.rank, self.ranks = batch, rank, ranks
        self.epoch: Callable[[], int] = lambda: 0

    def __len__(self) -> int:
        return self.size if self.ranks == 1 else self.size // self.batch * self.share

    @property
    def share(self) -> int:
        """Images of a batch that a rank gets."""
        return self.batch // self.ranks

    def __iter__(self) -> Iterator[Place]:
        epoch = self.epoch()
        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        order = torch.randperm(self.size, generator=generator)
        if self.ranks > 1:
            batches = order[: self.size // self.batch * self.batch].view(-1, self.ranks, self.share)
            order = batches[:, self.rank].flatten()
        for index in order.tolist():
            yield epoch, index


class EpochData(Dataset[tuple[Tensor, dict]]):
    """A data set addressed by (epoch, index): its augmentation depends on both, and on the seed."""

    def __init__(self, data: DetectionDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: Place) -> tuple[Tensor, dict]:
        epoch, index = place
        self.data.set_epoch(epoch)
        return self.data[index]


def mix(seed: int, epoch: int) -> int:
    """A seed of its own for every (seed, epoch)."""
    return (seed * 1_000_003 + epoch * 7_919 + 17) % 2**63
