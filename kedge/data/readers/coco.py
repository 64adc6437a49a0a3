"""COCO JSON: one file, or a folder of splits."""

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from kedge.data.checks import finish
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage
from kedge.data.readers.coco_find import find
from kedge.data.readers.coco_json import (
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    parse,
    parse_categories,
    rotated,
)
from kedge.data.records import Data

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
    coco = parse(file, problems)
    categories = _categories(coco, file)
    images, index = _images(coco, problems, ask.root, _bases(file, ask.root, ask.split))
    labels = {c.id: label for label, c in enumerate(categories)}
    boxes = _boxes(coco, index, labels, problems)
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
    coco: CocoFile, problems: Problems, root: Path, bases: list[Path]
) -> tuple[list[RawImage], dict[int, int]]:
    """The images that can be read, and where each image id is among them (-1: left out)."""
    index: dict[int, int] = {}
    entries = []
    for entry in coco.images:
        if entry.id in index:
            message = f"image id {entry.id} is used twice: give every image its own id"
            problems.add("duplicate image id", entry.file_name, f"image id {entry.id}", message)
            continue
        index[entry.id] = -1
        if _size(entry.width) is None or _size(entry.height) is None:
            message = f"its size is {entry.width} x {entry.height}: write whole pixels, or nothing"
            problems.add("unreadable record", entry.file_name, f"image id {entry.id}", message)
            continue
        entries.append(entry)
    paths = locate(root, bases, [(entry.file_name, "") for entry in entries], problems)
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
                width=_size(entry.width) or 0,
                height=_size(entry.height) or 0,
            )
        )
    return images, index


def _size(side: float | None) -> int | None:
    """0 where it is not said, None where it is no size."""
    if side is None:
        return 0
    return int(side) if math.isfinite(side) and 0 <= side < 2**31 else None


def _boxes(
    coco: CocoFile, index: dict[int, int], labels: dict[int, int], problems: Problems
) -> RawBoxes:
    names = {image.id: image.file_name for image in coco.images}
    image, xywh, label, crowd, ids = [], [], [], [], []
    seen: set[int] = set()
    lost, ignored, turned = 0, 0, []
    assert isinstance(coco.annotations, list)
    for entry in coco.annotations:
        where = index.get(entry.image_id)
        trouble = _trouble(entry, where, labels, seen)
        seen.add(entry.id)
        if trouble is not None:
            name = names.get(entry.image_id, f"image id {entry.image_id}")
            problems.add(trouble[0], name, f"annotation {entry.id}", trouble[1])
        elif where is None or where < 0:  # its image was left out, and reported
            lost += 1
        else:
            image.append(where)
            xywh.append([np.nan if value is None else value for value in entry.bbox or ()])
            label.append(labels[entry.category_id])
            ignored += bool(entry.ignore) and not entry.iscrowd
            crowd.append(bool(entry.iscrowd or entry.ignore))
            ids.append(entry.id)
            if entry.attributes and rotated(entry):
                turned.append(f"annotation {entry.id} of {names[entry.image_id]}")
    _say(problems, lost, ignored, turned)
    corners = np.array(xywh, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        corners[:, 2:] += corners[:, :2]
    return RawBoxes(
        image=np.array(image, np.int64),
        xyxy=corners,
        label=np.array(label, np.int64),
        crowd=np.array(crowd, bool),
        where=lambda row: f"annotation {ids[row]}",
    )


def _say(problems: Problems, lost: int, ignored: int, turned: list[str]) -> None:
    problems.lost_with_images(lost)
    if ignored:
        message = 'marked "ignore": read as crowd regions, neither object nor background'
        problems.note("ignored annotation", "", "", message, count=ignored)
    message = "the rotation is not used: these boxes stand as bbox says, before they are turned"
    problems.unused("rotation", turned, message)


def _trouble(
    entry: CocoAnnotation, where: int | None, labels: dict[int, int], seen: set[int]
) -> tuple[str, str] | None:
    """What is wrong with an annotation before its box is looked at: (kind, message) or None."""
    if entry.id in seen:
        return "duplicate annotation id", "used twice: give every annotation its own id"
    if where is None:
        return "unknown image", f"there is no image with id {entry.image_id}: remove it"
    if entry.category_id not in labels:
        known = ", ".join(str(i) for i in list(labels)[:10])
        return "unknown category", f"category id {entry.category_id}; known ids are {known} ..."
    if entry.bbox is not None and len(entry.bbox) == 5:
        return "rotated box", "bbox has five numbers, an angle: write the upright box around it"
    if entry.bbox is None or len(entry.bbox) != 4:
        return "no box", f"bbox is {entry.bbox!r:.60}: write x, y, width, height"
    return None
