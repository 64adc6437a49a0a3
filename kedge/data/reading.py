"""`read(path)`: finds out which format a path holds and reads it."""

from pathlib import Path

from kedge.data.records import Data, OnBadBox


def read(path: str | Path, split: str | None = None, on_bad_box: OnBadBox = "error") -> Data:
    raise NotImplementedError
