"""COCO entries that are not written by the book, understood one by one."""

from typing import Any

import msgspec

from kedge.data.areas import area_of
from kedge.data.problems import Problems
from kedge.data.readers.coco_types import (
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    CocoImage,
    CocoOutlined,
    Outline,
)
from kedge.parse import flag, number, whole


def row_by_row(said: dict[str, Any], problems: Problems, outlines: bool) -> CocoFile:
    """The entries of a file whose `images`, `categories` and `annotations` (if any) are lists; what
    cannot be understood is a problem of its own. `outlines`: as for `parse`."""
    ids = _numbered([row.get("id") for row in said["images"] if isinstance(row, dict)], problems)
    images = _good(said["images"], "images", problems, lambda row, i: _image(row, ids))
    categories = _good(said["categories"], "categories", problems, lambda row, i: _category(row))
    rows = _good(
        said.get("annotations", []),
        "annotations",
        problems,
        lambda row, i: _annotation(row, i, ids, outlines),
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


def _annotation(row: dict[str, Any], i: int, ids: dict[str, int], outlines: bool) -> CocoAnnotation:
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
    more = {"segmentation": Outline(row.get("segmentation"))} if outlines else {}
    return (CocoOutlined if outlines else CocoAnnotation)(
        id=i if row.get("id") is None else _whole(row, "id"),
        image_id=_whole(row, "image_id", ids),
        category_id=_whole(row, "category_id"),
        bbox=box,
        iscrowd=marks["iscrowd"],
        ignore=marks["ignore"],
        area=area_of(row.get("area")),
        attributes=msgspec.Raw(raw),
        **more,
    )
