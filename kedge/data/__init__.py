"""Data: readers that check what they read, transforms, the data set, and the drawn toy data."""

from kedge.data import toy
from kedge.data.dataset import DetectionDataset, collate
from kedge.data.npz import boxes_npz
from kedge.data.reading import read
from kedge.data.records import Data, Finding, OnBadBox, Record
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
    "to_original",
    "toy",
    "train_transforms",
]
