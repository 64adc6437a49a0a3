"""COCO JSON: one file, or a folder of splits. Parsed into typed structs by msgspec."""

import json
import re
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from kedge.data.checks import Problems, RawBoxes, RawImage, check, locate
from kedge.data.records import Data, OnBadBox

SPLITS = ("train", "val", "valid", "validation", "test", "trainval", "minival")
LOOKED_FOR = (
    "COCO JSON: train.json, val.json, test.json or instances_*.json, in the folder or in "
    "annotations/ (or _annotations.coco.json in train/, valid/, test/), with images/"
)


class CocoImage(msgspec.Struct):
    """One entry of "images". Sizes may be missing: the file knows them."""

    id: int
    file_name: str = ""
    width: float | None = None
    height: float | None = None


class CocoAnnotation(msgspec.Struct):
    """One entry of "annotations"; bbox is x, y, width, height in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float | None] | None = None
    iscrowd: int | bool = 0


class CocoCategory(msgspec.Struct):
    """One entry of "categories"."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """A COCO JSON file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation] = []


def find(folder: Path) -> dict[str, Path]:
    """The COCO files of a folder, by split name ("instances_train2017.json" is "train")."""
    files = [
        file
        for place in (folder, folder / "annotations")
        for file in sorted(place.glob("*.json"))
        if _split_name(file) is not None
    ]
    files += sorted(folder.glob("*/_annotations.coco.json"))
    named = {str(_split_name(file)): file for file in files}
    if len(named) < len(files):  # two years of one split: keep the years
        named = {_split_name(file, years=True) or file.stem: file for file in files}
    return named


def _split_name(file: Path, years: bool = False) -> str | None:
    if file.name == "_annotations.coco.json":
        stem = file.parent.name
    else:
        stem = file.stem
        if stem.startswith("instances_"):
            stem = stem.removeprefix("instances_")
        elif re.sub(r"\d{4}$", "", stem) not in SPLITS:
            return None
    if not years:
        stem = re.sub(r"\d{4}$", "", stem)
    return {"valid": "val", "validation": "val"}.get(stem, stem)


def read_file(
    file: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    splits: tuple[str, ...] = (),
    on_bad_box: OnBadBox = "error",
    check_images: bool = True,
) -> Data:
    """Read one COCO JSON file; its images are searched beside it and under `root`.

    Category ids need not be contiguous: classes are ordered by id and `category_ids` keeps the
    ids. Crowd annotations become `crowd`. Raises ValueError as `kedge.data.read` says.
    """
    if root is None:
        root = file.parent.parent if file.parent.name == "annotations" else file.parent
    problems = Problems(file, on_bad_box)
    coco = parse(file)
    categories = _categories(coco, file)
    images, index = _images(coco, problems, root, _bases(file, root, split))
    boxes = _boxes(coco, index, {c.id: label for label, c in enumerate(categories)}, problems)
    records = check(images, boxes, problems, check_images)
    problems.stop()
    return Data(
        source=str(file),
        format="COCO JSON",
        split=split,
        splits=splits,
        classes=tuple(category.name for category in categories),
        category_ids=tuple(category.id for category in categories),
        records=records,
        findings=problems.findings,
    )


def parse(file: Path) -> CocoFile:
    """Parse and type-check a COCO JSON file. NaN and Infinity, which JSON forbids and Python
    writes, are let through to the box checks. Raises ValueError naming file and field."""
    text = file.read_bytes()
    try:
        try:
            return msgspec.json.decode(text, type=CocoFile)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return msgspec.convert(json.loads(text), type=CocoFile)
    except msgspec.ValidationError as problem:
        raise ValueError(
            f"{file}: is not COCO JSON as expected: {problem} (needs images with id and "
            "file_name, annotations with id, image_id, category_id and bbox, categories with "
            "id and name)"
        ) from problem
    except ValueError as problem:
        raise ValueError(f"{file}: is not JSON: {problem}") from problem


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
    names = [name for name in dict.fromkeys((stem, split)) if name]
    places = [root / "images" / name for name in names] + [root / name for name in names]
    places += [file.parent / "images", root / "images", file.parent, root]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _images(
    coco: CocoFile, problems: Problems, root: Path, bases: list[Path]
) -> tuple[list[RawImage], dict[int, int]]:
    """The images that can be read, and where each image id is among them (-1: left out)."""
    images: list[RawImage] = []
    index: dict[int, int] = {}
    for entry in coco.images:
        if entry.id in index:
            message = f"image id {entry.id} is used twice: give every image its own id"
            problems.add("duplicate image id", entry.file_name, f"image id {entry.id}", message)
            continue
        index[entry.id] = -1
        path = locate(root, bases, entry.file_name, problems)
        if path is None:
            continue
        index[entry.id] = len(images)
        images.append(
            RawImage(
                name=entry.file_name,
                file=path,
                image_id=entry.id,
                width=int(entry.width or 0),
                height=int(entry.height or 0),
            )
        )
    return images, index


def _boxes(
    coco: CocoFile, index: dict[int, int], labels: dict[int, int], problems: Problems
) -> RawBoxes:
    names = {image.id: image.file_name for image in coco.images}
    image, xywh, label, crowd, ids = [], [], [], [], []
    seen: set[int] = set()
    for entry in coco.annotations:
        where = index.get(entry.image_id)
        trouble = _trouble(entry, where, labels, seen)
        seen.add(entry.id)
        if trouble is not None:
            name = names.get(entry.image_id, f"image id {entry.image_id}")
            problems.add(trouble[0], name, f"annotation {entry.id}", trouble[1])
        elif where is not None and where >= 0:  # -1: its image was left out, and reported
            image.append(where)
            xywh.append([np.nan if value is None else value for value in entry.bbox or ()])
            label.append(labels[entry.category_id])
            crowd.append(bool(entry.iscrowd))
            ids.append(entry.id)
    corners = np.array(xywh, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore"):
        corners[:, 2:] += corners[:, :2]
    return RawBoxes(
        image=np.array(image, np.int64),
        xyxy=corners,
        label=np.array(label, np.int64),
        crowd=np.array(crowd, bool),
        where=lambda row: f"annotation {ids[row]}",
    )


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
    if entry.bbox is None or len(entry.bbox) != 4:
        return "no box", f"bbox is {entry.bbox}: write x, y, width, height"
    return None
