"""A COCO JSON file as typed entries: at once where it is written by the book, else row by row."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from kedge.data.problems import Problems
from kedge.data.readers.coco_rows import row_by_row
from kedge.data.readers.coco_types import (
    CocoAnnotation,
    CocoCategories,
    CocoFile,
    CocoOutlines,
)
from kedge.parse import number, read_utf8
from kedge.parse.json_text import decode

_NEEDS = (
    "needs images with id and file_name, annotations with id, image_id, category_id and bbox, "
    "categories with id and name"
)


def parse(file: Path, problems: Problems, outlines: bool = False) -> CocoFile:
    """Parse and type-check a file. Numbers may be text, or whole ones have a point; NaN, Infinity
    and null are let through to the box checks; what cannot be understood is reported row by row.
    `outlines`: annotations are `CocoOutlined`.

    Raises ValueError naming file and field for what is no COCO file as a whole, and for a list or
    a field that is missing where a near name is there ("annotation", "filename").
    """
    text = read_utf8(file)
    try:
        kind = CocoOutlines if outlines else CocoFile
        found = msgspec.json.decode(text, type=kind, dec_hook=lambda make, said: make(said))
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
    return row_by_row(said, problems, outlines)


def parse_categories(file: Path) -> tuple[str, ...]:
    """The names of the classes by rising id, nothing else of the file. ValueError as `parse`."""
    text = read_utf8(file)
    try:
        found = msgspec.json.decode(text, type=CocoCategories).categories
    except (msgspec.MsgspecError, RecursionError, ValueError):
        found = parse(file, Problems(file, "drop")).categories
    return tuple(c.name for c in sorted(found, key=lambda category: category.id))


def rotation(entry: CocoAnnotation) -> float:
    """By how many degrees the annotation says that its box is turned (CVAT's attribute), or 0."""
    raw = bytes(entry.attributes)
    if b"rotation" not in raw:
        return 0.0
    said = decode(raw, "attributes")
    return (number(said.get("rotation")) if isinstance(said, dict) else None) or 0.0


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
