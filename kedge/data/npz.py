"""Boxes without images, from an .npz file."""

from pathlib import Path

from kedge.data.records import Data, OnBadBox


def boxes_npz(path: str | Path, on_bad_box: OnBadBox = "error") -> Data:
    raise NotImplementedError
