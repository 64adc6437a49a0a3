"""A COCO JSON file as typed entries: at once where it is written by the book, else row by row."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from kedge.data.problems import Problems
from kedge.parse import flag, number, read_utf8, whole
from kedge.parse.json_text import decode

_NEEDS = (
    "needs images with id and file_name, annotations with id, image_id, category_id and bbox, "
    "categories with id and name"
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
    iscrowd: int | bool | None = 0
    ignore: int | bool | None = 0
    attributes: msgspec.Raw = msgspec.Raw(b"")


class CocoCategory(msgspec.Struct):
    """One entry of "categories"."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """A COCO JSON file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation] | msgspec.UnsetType = msgspec.UNSET


class CocoCategories(msgspec.Struct):
    """The classes of a COCO JSON file alone."""

    categories: list[CocoCategory]


def parse(file: Path, problems: Problems) -> CocoFile:
    """Parse and type-check a file. Numbers may be text, or whole ones have a point; NaN, Infinity
    and null are let through to the box checks; what cannot be understood is reported row by row.

    Raises ValueError naming file and field for what is no COCO file as a whole, and for a list or
    a field that is missing where a near name is there ("annotation", "filename").
    """
    text = read_utf8(file)
    try:
        found = msgspec.json.decode(text, type=CocoFile)
        if found.annotations is not msgspec.UNSET and all(i.file_name for i in found.images):
            return found
        reason = ""
    except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
        reason = str(problem)
    said = decode(text, str(file))
    if not isinstance(said, dict) or not isinstance(said.get("images"), list):
        raise ValueError(f"{file}: is not COCO JSON as expected: {reason} ({_NEEDS})")
    _near(said, ("images", "annotations", "categories"), str(file))
    if not isinstance(said.get("categories"), list):
        raise ValueError(f"{file}: is not COCO JSON as expected: {reason} ({_NEEDS})")
    if not isinstance(said.get("annotations", []), list):
        raise ValueError(f"{file}: annotations must be a list ({_NEEDS})")
    if said["images"] and isinstance(said["images"][0], dict):
        _near(said["images"][0], ("file_name",), f"{file}: $.images[0]")
    if "annotations" not in said:
        problems.note(
            "no annotations", "", "", f"{file.name} has images and no list of annotations"
        )
    return _row_by_row(said, problems)


def parse_categories(file: Path) -> tuple[str, ...]:
    """The names of the classes by rising id, nothing else of the file. ValueError as `parse`."""
    text = read_utf8(file)
    try:
        found = msgspec.json.decode(text, type=CocoCategories).categories
    except (msgspec.MsgspecError, RecursionError, ValueError):
        found = parse(file, Problems(file, "drop")).categories
    return tuple(c.name for c in sorted(found, key=lambda category: category.id))


def rotated(entry: CocoAnnotation) -> bool:
    """Whether the annotation says that its box is turned (CVAT's attribute)."""
    raw = bytes(entry.attributes)
    if b"rotation" not in raw:
        return False
    said = decode(raw, "attributes")
    angle = number(said.get("rotation")) if isinstance(said, dict) else None
    return bool(angle)


def _near(said: dict[str, Any], wanted: Iterable[str], where: str) -> None:
    """Raise for a name that is missing where one is there that looks like it."""
    alike = {"filename", "name", "path", "file", "image", "img", "imagename"}
    for name in wanted:
        if name in said:
            continue
        keys = {_plain(key): key for key in said if isinstance(key, str)}
        close = get_close_matches(_plain(name), keys, n=1, cutoff=0.75)
        if not close and name == "file_name":
            close = sorted(alike & set(keys))
        if close:
            raise ValueError(f"{where} has no {name!r} but {keys[close[0]]!r}: rename it {name!r}")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _row_by_row(said: dict[str, Any], problems: Problems) -> CocoFile:
    ids = _numbered([row.get("id") for row in said["images"] if isinstance(row, dict)], problems)
    images = _good(said["images"], "images", problems, lambda row, i: _image(row, ids))
    categories = _good(said["categories"], "categories", problems, lambda row, i: _category(row))
    rows = _good(
        said.get("annotations", []),
        "annotations",
        problems,
        lambda row, i: _annotation(row, i, ids),
    )
    return CocoFile(images=images, categories=categories, annotations=rows)


def _good(rows: list[Any], where: str, problems: Problems, make: Any) -> list[Any]:
    """The entries that can be understood; the others are problems."""
    found = []
    for i, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise ValueError(f" is {row!r:.60}: expected an object")
            found.append(make(row, i))
        except ValueError as problem:
            name = row.get("file_name") if isinstance(row, dict) else None
            image = name if isinstance(name, str) else ""
            problems.add("unreadable record", image, f"$.{where}[{i}]{problem}", "correct it")
    return found


def _numbered(ids: list[Any], problems: Problems) -> dict[str, int]:
    """Numbers for image ids that are all names, in the order of the file; {} where they are not."""
    names = [value for value in ids if isinstance(value, str) and value and whole(value) is None]
    if len(names) < max(2, len(ids)) or len(set(names)) < len(names):
        return {}
    message = f"the ids of the images are names ({names[0]!r}); they are numbered from 0"
    problems.note("image ids that are names", "", "", message, count=len(names))
    return {name: i for i, name in enumerate(names)}


def _whole(row: dict[str, Any], key: str, ids: dict[str, int] | None = None) -> int:
    value = row.get(key)
    if ids and isinstance(value, str) and value in ids:
        return ids[value]
    found = whole(value)
    if found is None:
        raise ValueError(f".{key} is {value!r:.60}: expected a whole number")
    return found


def _image(row: dict[str, Any], ids: dict[str, int]) -> CocoImage:
    name = row.get("file_name", "")
    if not isinstance(name, str):
        raise ValueError(f".file_name is {name!r:.60}: expected text")
    sizes = [number(row.get(key)) for key in ("width", "height")]
    return CocoImage(id=_whole(row, "id", ids), file_name=name, width=sizes[0], height=sizes[1])


def _category(row: dict[str, Any]) -> CocoCategory:
    name = row.get("name")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise ValueError(f".name is {name!r:.60}: expected text")
    return CocoCategory(id=_whole(row, "id"), name=str(name))


def _annotation(row: dict[str, Any], i: int, ids: dict[str, int]) -> CocoAnnotation:
    box = row.get("bbox")
    if isinstance(box, list):
        values = [None if value is None else number(value) for value in box]
        if any(value is None and box[n] is not None for n, value in enumerate(values)):
            raise ValueError(f".bbox is {box!r:.60}: expected four numbers")
        box = values
    elif box is not None:
        raise ValueError(f".bbox is {box!r:.60}: expected four numbers")
    marks = {key: flag(row.get(key)) for key in ("iscrowd", "ignore")}
    for key, value in marks.items():
        if value is None:
            raise ValueError(f".{key} is {row[key]!r:.60}: expected 0 or 1")
    attributes = row.get("attributes")
    raw = msgspec.json.encode(attributes) if isinstance(attributes, dict) else b""
    return CocoAnnotation(
        id=i if row.get("id") is None else _whole(row, "id"),
        image_id=_whole(row, "image_id", ids),
        category_id=_whole(row, "category_id"),
        bbox=box,
        iscrowd=marks["iscrowd"],
        ignore=marks["ignore"],
        attributes=msgspec.Raw(raw),
    )
