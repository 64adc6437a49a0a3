"""The torch data set and its collate function."""

from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from kedge.data.records import Data
from kedge.data.transforms import Target, Transform


class DetectionDataset(Dataset[tuple[Tensor, Target]]):
    def __init__(
        self, data: Data, transform: Transform | None = None, seed: int = 0, cache: bool = True
    ) -> None:
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        raise NotImplementedError


def collate(batch: list[tuple[Tensor, dict[str, Any]]]) -> tuple[Tensor, list[Target]]:
    raise NotImplementedError
