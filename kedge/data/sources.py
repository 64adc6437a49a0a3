"""Data as a command line names them."""

from dataclasses import replace
from pathlib import Path

from kedge.data.reading import read, splits_of
from kedge.data.records import Data


def choose_split(path: str, split: str | None) -> str | None:
    """The split asked for. Where a set has several and none is asked for: train, else the first
    whose name begins so, else the first; None leaves the choice to ``kedge.data.read``."""
    if split is not None:
        return split
    names = sorted(splits_of(path))
    if len(names) < 2 or "train" in names:
        return None
    return next((name for name in names if name.startswith("train")), names[0])


def training_split(path: str, stated: str | None) -> str | None:
    """The split that a run's settings state, as ``kedge.data.read`` takes it: "train" of a set
    without splits is all of it."""
    return None if stated == "train" and not splits_of(path) else stated


def read_data(
    path: str, split: str | None, *, check_images: bool = True, root: Path | None = None
) -> Data:
    """Like ``kedge.data.read`` with "drop": findings tell of every defect. Any choice of splits is
    ``choose_split``'s."""
    chosen = choose_split(path, split)
    found = read(path, chosen, "drop", check_images=check_images, root=root)
    return replace(found, source=path)
