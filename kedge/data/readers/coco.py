"""COCO JSON: one file, or a folder of splits."""

import re
from itertools import pairwise
from pathlib import Path

from kedge.data.checks import finish
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawImage
from kedge.data.readers.coco_boxes import boxes_of
from kedge.data.readers.coco_find import find
from kedge.data.readers.coco_json import parse, parse_categories
from kedge.data.readers.coco_types import CocoCategory, CocoFile
from kedge.data.records import Data
from kedge.parse import side

__all__ = ["LOOKED_FOR", "classes", "find", "read"]

LOOKED_FOR = (
    "COCO JSON: train.json, val.json, test.json, instances_*.json or any JSON with images, "
    "annotations and categories, in the folder or in annotations/ (or _annotations.coco.json in "
    "train/, valid/, test/), with images/"
)


def classes(file: Path) -> tuple[str, ...]:
    """The names of the classes of a file, in the order of their ids."""
    return parse_categories(file)


def read(file: Path, ask: Ask) -> Data:
    """Read one COCO JSON file; its images are searched beside it and under `ask.root`.

    Category ids need not be contiguous: classes are ordered by id and `category_ids` keeps the
    ids. Crowd annotations, and those to be ignored, become `crowd`. Raises ValueError as
    `kedge.data.read` says.
    """
    problems = Problems(file, ask.on_bad_box)
    coco = parse(file, problems, ask.extremes)
    categories = _categories(coco, file)
    images, index = _images(coco, file, ask, problems)
    labels = {c.id: label for label, c in enumerate(categories)}
    boxes = boxes_of(coco, index, labels, problems)
    return finish(
        images,
        boxes,
        problems,
        ask,
        format="COCO JSON",
        classes=tuple(category.name for category in categories),
        category_ids=tuple(category.id for category in categories),
        said=len(coco.images),
    )


def _categories(coco: CocoFile, file: Path) -> list[CocoCategory]:
    categories = sorted(coco.categories, key=lambda category: category.id)
    for one, other in pairwise(categories):
        if one.id == other.id:
            raise ValueError(
                f"{file}: category id {one.id} is both {one.name!r} and {other.name!r}: "
                "give every category its own id"
            )
    return categories


def _bases(file: Path, root: Path, split: str | None) -> list[Path]:
    """Folders in which a file name may lie, the most particular first."""
    stem = file.stem.removeprefix("instances_")
    years = [re.sub(r"\d{4}$", "", stem)]
    names = [name for name in dict.fromkeys((stem, *years, split)) if name]
    if split == "val":
        names += ["valid", "validation"]
    places = [root / "images" / name for name in names] + [root / name for name in names]
    places += [file.parent / "images", root / "images", file.parent, root]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _images(
    coco: CocoFile, file: Path, ask: Ask, problems: Problems
) -> tuple[list[RawImage], dict[int, int]]:
    """The images that can be read, and where each image id is among them (-1: left out)."""
    index: dict[int, int] = {}
    entries = []
    names: dict[int, set[str]] = {}
    for entry in coco.images:
        names.setdefault(entry.id, set()).add(entry.file_name)
    for entry in coco.images:
        if len(names[entry.id]) > 1:  # whose are its boxes?
            index[entry.id] = -1
            message = f"image id {entry.id} is that of several files: give each its own id"
            problems.add("duplicate image id", entry.file_name, f"image id {entry.id}", message)
            continue
        if entry.id in index:
            message = f"image id {entry.id} is used twice: give every image its own id"
            problems.add("duplicate image id", entry.file_name, f"image id {entry.id}", message)
            continue
        index[entry.id] = -1
        if side(entry.width) is None or side(entry.height) is None:
            message = f"its size is {entry.width} x {entry.height}: write whole pixels, or nothing"
            problems.add("unreadable record", entry.file_name, f"image id {entry.id}", message)
            continue
        entries.append(entry)
    bases, said = _bases(file, ask.root, ask.split), [(entry.file_name, "") for entry in entries]
    paths = locate(ask.root, bases, said, problems, split=ask.split or file.stem)
    images: list[RawImage] = []
    for entry, path in zip(entries, paths):
        if path is None:
            continue
        index[entry.id] = len(images)
        images.append(
            RawImage(
                name=entry.file_name,
                file=path,
                image_id=entry.id,
                width=side(entry.width) or 0,
                height=side(entry.height) or 0,
            )
        )
    return images, index
