"""Images of no data set: a file or a folder, as records without objects."""

from collections.abc import Sequence
from pathlib import Path

from kedge.data import Data
from kedge.data.images import SUFFIXES
from kedge.detectors.pictures import record_of


def image_files(path: Path) -> list[Path]:
    """The image itself, or the images of a folder in order of their names.

    Raises ``ValueError`` where there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such image or folder")
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{path}: holds no images ({', '.join(SUFFIXES)})")
    return files


def unlabelled(files: Sequence[Path], classes: Sequence[str], category_ids: Sequence[int]) -> Data:
    """Image files as a data set without objects; ids count from 1."""
    records = [record_of(file, number) for number, file in enumerate(files, start=1)]
    return Data(
        source=str(files[0].parent),
        format="images",
        split=None,
        splits=(),
        classes=tuple(classes),
        category_ids=tuple(category_ids),
        records=records,
    )
