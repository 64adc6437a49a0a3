"""Pascal VOC folders: Annotations/*.xml, JPEGImages, ImageSets/Main. Parsed by defusedxml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.data.checks import Problems, RawBoxes, RawImage, check, inside, locate
from kedge.data.images import SUFFIXES
from kedge.data.records import Data, OnBadBox

LOOKED_FOR = "Pascal VOC: Annotations/*.xml with JPEGImages/ (and ImageSets/Main/*.txt)"


@dataclass(frozen=True, slots=True)
class _Object:
    number: int  # from 1, in the order of the file
    name: str
    difficult: bool
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class _Page:
    """One XML file."""

    stem: str
    filename: str
    width: int
    height: int
    objects: list[_Object]


def find(folder: Path) -> Path | None:
    """The VOC folder at or below `folder` (VOCdevkit/VOC2007), or None."""
    places = [folder, *sorted(folder.glob("VOC20*")), *sorted(folder.glob("VOCdevkit/VOC20*"))]
    found = [place for place in places if (place / "Annotations").is_dir()]
    if len(found) > 1 and found[0] != folder:
        names = ", ".join(str(place) for place in found)
        raise ValueError(f"{folder}: holds several VOC sets ({names}): name one of them")
    return found[0] if found else None


def splits(folder: Path) -> tuple[str, ...]:
    """The lists in ImageSets/Main that are splits, not one class's list ("car_train.txt")."""
    lists = sorted((folder / "ImageSets" / "Main").glob("*.txt"))
    return tuple(file.stem for file in lists if "_" not in file.stem)


def read_folder(
    folder: Path,
    *,
    split: str | None = None,
    on_bad_box: OnBadBox = "error",
    check_images: bool = True,
) -> Data:
    """Read a VOC folder, or the images of one list in ImageSets/Main.

    Coordinates are VOC's: pixel numbers from 1, both ends included, so that the box is
    (xmin - 1, ymin - 1, xmax, ymax) in continuous coordinates. Files that count from 0 come
    out one pixel up and left of where they say, within the tolerance of the checks. Classes
    are the names found in the *whole* folder, sorted. `difficult` objects become `crowd`:
    neither object nor background, as VOC's own evaluation treats them.
    """
    problems = Problems(folder, on_bad_box)
    pages = _pages(folder, problems)
    classes = sorted({o.name for page in pages.values() for o in page.objects})
    if split is not None:
        pages = _of_split(pages, folder, split, problems)
    images, boxes = _table(pages, folder, {name: i for i, name in enumerate(classes)}, problems)
    records = check(images, boxes, problems, check_images)
    problems.stop()
    return Data(
        source=str(folder),
        format="Pascal VOC",
        split=split,
        splits=splits(folder),
        classes=tuple(classes),
        category_ids=tuple(range(len(classes))),
        records=records,
        findings=problems.findings,
    )


def _pages(folder: Path, problems: Problems) -> dict[str, _Page]:
    """Every XML file of the folder, parsed, by stem."""
    pages = {}
    for file in sorted((folder / "Annotations").glob("*.xml")):
        if inside(folder, file.parent, file.name) is None:
            message = f"the annotation is a link out of the data folder {folder}"
            problems.refuse("path outside the folder", file.name, "", message)
            continue
        page = _parse(file, problems)
        if page is not None:
            pages[file.stem] = page
    return pages


def _parse(file: Path, problems: Problems) -> _Page | None:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    try:
        root: Any = parse(file).getroot()
    except DefusedXmlException as problem:
        problems.refuse("unsafe XML", file.name, "", f"{problem!r}: remove its entities")
        return None
    except (ParseError, ValueError) as problem:
        problems.add("unreadable annotation", file.name, "", f"is not XML ({problem}): rewrite it")
        return None
    objects = [
        _Object(
            number,
            (item.findtext("name") or "").strip(),
            (item.findtext("difficult") or "0").strip() in ("1", "true", "True"),
            _box(item.find("bndbox")),
        )
        for number, item in enumerate(root.findall("object"), start=1)
    ]
    width, height = (
        int(_number(root.findtext(f"size/{side}")) or 0) for side in ("width", "height")
    )
    return _Page(file.stem, (root.findtext("filename") or "").strip(), width, height, objects)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _box(node: Any) -> tuple[float, float, float, float] | None:
    """VOC's inclusive 1-based corners as continuous ones; None where a corner is no number."""
    if node is None:
        return None
    x1, y1, x2, y2 = (_number(node.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    return (x1 - (x1 <= x2), y1 - (y1 <= y2), x2 - (x2 < x1), y2 - (y2 < y1))  # the lower one


def _of_split(
    pages: dict[str, _Page], folder: Path, split: str, problems: Problems
) -> dict[str, _Page]:
    file = folder / "ImageSets" / "Main" / f"{split}.txt"
    lines = [line.split() for line in file.read_text().splitlines()]
    chosen: dict[str, _Page] = {}
    for number, words in enumerate(lines, start=1):
        if not words:
            continue
        where = f"line {number} of {file.name}"
        if words[0] in chosen:
            problems.add("duplicate image id", words[0], where, "listed twice: list it once")
        elif words[0] in pages:
            chosen[words[0]] = pages[words[0]]
        elif inside(folder, folder / "Annotations", f"{words[0]}.xml") is None:
            message = f"the path leaves the data folder {folder}"
            problems.refuse("path outside the folder", words[0], where, message)
        elif not (folder / "Annotations" / f"{words[0]}.xml").is_file():
            problems.add("missing annotation", words[0], where, "there is no such XML file")
    return chosen


def _table(
    pages: dict[str, _Page], folder: Path, labels: dict[str, int], problems: Problems
) -> tuple[list[RawImage], RawBoxes]:
    images: list[RawImage] = []
    image, xyxy, label, crowd, numbers = [], [], [], [], []
    for page in pages.values():
        path = _image_file(page, folder, problems)
        if path is None:
            continue
        for item in page.objects:
            if item.box is None:
                message = "bndbox lacks xmin, ymin, xmax or ymax, or they are no numbers"
                problems.add("no box", path.name, f"object {item.number}", message)
                continue
            image.append(len(images))
            xyxy.append(item.box)
            label.append(labels[item.name])
            crowd.append(item.difficult)
            numbers.append(f"object {item.number} ({item.name})")
        images.append(
            RawImage(
                name=path.name,
                file=path,
                image_id=len(images),
                width=page.width,
                height=page.height,
            )
        )
    boxes = RawBoxes(
        image=np.array(image, np.int64),
        xyxy=np.array(xyxy, np.float64).reshape(-1, 4),
        label=np.array(label, np.int64),
        crowd=np.array(crowd, bool),
        where=lambda row: numbers[row],
    )
    return images, boxes


def _image_file(page: _Page, folder: Path, problems: Problems) -> Path | None:
    """The image an XML file names, or the one of the same stem where that name is stale."""
    bases = [b for b in (folder / "JPEGImages", folder / "images", folder) if b.is_dir()]
    if page.filename and any(inside(folder, base, page.filename) is None for base in bases[:1]):
        return locate(folder, bases[:1], page.filename, problems)
    for name in [page.filename, *(page.stem + suffix for suffix in SUFFIXES)]:
        for base in bases:
            path = inside(folder, base, name) if name else None
            if path is not None and path.is_file():
                return path
    return locate(folder, bases, page.filename or f"{page.stem}.jpg", problems)
