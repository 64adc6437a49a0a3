"""Data: readers that check what they read, transforms, the data set, and the drawn toy data."""

from typing import TYPE_CHECKING

from kedge.data import toy
from kedge.data.readers.npz import boxes_npz
from kedge.data.reading import read, splits_of
from kedge.data.records import Data, Finding, OnBadBox, Record, said
from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.data.dataset import DetectionDataset, collate
    from kedge.data.transforms import eval_transforms, to_original, train_transforms

__all__ = [
    "Data",
    "DetectionDataset",
    "Finding",
    "OnBadBox",
    "Record",
    "boxes_npz",
    "collate",
    "eval_transforms",
    "read",
    "said",
    "splits_of",
    "to_original",
    "toy",
    "train_transforms",
]

# imported when first asked for: torchvision takes seconds, and readers do not need it
_HOMES = {
    "DetectionDataset": "dataset",
    "collate": "dataset",
    "eval_transforms": "transforms",
    "to_original": "transforms",
    "train_transforms": "transforms",
}


__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
