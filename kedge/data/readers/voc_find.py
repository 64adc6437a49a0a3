"""Where a Pascal VOC set keeps its XML files, its images and its lists."""

import re
from dataclasses import dataclass
from pathlib import Path

from kedge.data.names import plain
from kedge.data.split_names import SPLITS
from kedge.parse import read_bytes

_XML = ("Annotations", "annotations", "Annotation", "annotation", "xmls", "labels")
_IMAGES = ("JPEGImages", "images", "Images", "image", "imgs", "jpegimages")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, its XML files in order, and the folders in which its images may lie."""

    folder: Path
    xml: Path
    files: list[Path]
    bases: list[Path]


def place_of(folder: Path) -> Place | None:
    """The VOC set in `folder` itself: XML files in a folder of their own (with folders in it), or
    beside the images; None where there is none."""
    for name in _XML:
        xml = folder / name
        if xml.is_dir():
            files = sorted(p for p in xml.rglob("*") if p.suffix.lower() == ".xml")
            if name == "Annotations" or _are_pages(files):
                return Place(folder, xml, files, _bases(folder))
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".xml")
    return Place(folder, folder, files, _bases(folder)) if _are_pages(files) else None


def find(path: Path) -> dict[str, Path]:
    """The splits of a VOC folder, each with the folder it is read from; {"": folder} for a set
    without splits; {} where there is none.

    Splits are lists in ImageSets/Main, or folders train, valid and test. The folder may lie below
    (VOCdevkit/VOC2007).
    """
    if not path.is_dir():
        return {}
    if place_of(path) is not None:
        return dict.fromkeys(lists(path), path) or {"": path}
    folders = {SPLITS[p.name]: p for p in sorted(path.iterdir()) if p.name in SPLITS}
    found = {name: p for name, p in folders.items() if p.is_dir() and place_of(p) is not None}
    if found:
        return found
    below = [*sorted(path.glob("VOC20*")), *sorted(path.glob("VOCdevkit/VOC20*"))]
    below = [place for place in below if place.is_dir() and place_of(place) is not None]
    if len(below) > 1:
        names = ", ".join(str(place) for place in below)
        raise ValueError(f"{path}: holds several VOC sets ({names}): name one of them")
    return find(below[0]) if below else {}


def lists(folder: Path) -> dict[str, Path]:
    """The lists in ImageSets/Main that are splits, not one class's list ("car_train.txt")."""
    files = sorted((folder / "ImageSets" / "Main").glob("*.txt"))
    return {file.stem: file for file in files if "_" not in file.stem}


def _bases(folder: Path) -> list[Path]:
    return [p for p in (*(folder / name for name in _IMAGES), folder) if p.is_dir()]


def _are_pages(files: list[Path]) -> bool:
    """Whether one of the first files is a page of VOC (CVAT's one file has <annotations>)."""
    for file in files[:5]:
        try:
            if re.search(rb"<annotation[\s>]", read_bytes(file)[:4096].replace(b"\0", b"")):
                return True
        except ValueError:
            continue
    return False


def same_stem(bases: list[Path], suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """The images of some folders by their plain stems, those of the first folder first. The last
    is the set's own: there the images stand in it, not below."""
    found: dict[str, list[Path]] = {}
    for base in bases:
        for path in sorted(base.iterdir() if base == bases[-1] else base.rglob("*")):
            if path.suffix.lower() in suffixes:
                found.setdefault(plain(path.stem), []).append(path)
    return found
