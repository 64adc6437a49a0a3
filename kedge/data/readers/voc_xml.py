"""One Pascal VOC XML file."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.data.problems import Problems
from kedge.data.turned import Box, around
from kedge.parse import UnsafeXML, flag, number, read_xml, side


@dataclass(frozen=True, slots=True)
class Object:
    """An object; `box` is None where its corners are no numbers, and the upright box around a
    `turned` one."""

    number: int  # from 1, in the order of the file
    name: str
    difficult: bool
    box: Box | None
    turned: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One XML file: `width` and `height` are 0 where they are not said."""

    file: Path
    filename: str
    width: int
    height: int
    objects: list[Object]
    nested: int  # objects that stand deeper than VOC puts them, and are not read


def read_page(file: Path, problems: Problems) -> Page | None:
    """A parsed file, or None with the problem recorded."""
    try:
        root = read_xml(file)
    except UnsafeXML as problem:
        problems.refuse("unsafe XML", file.name, "", str(problem))
        return None
    except ValueError as problem:
        problems.add("unreadable annotation", file.name, "", str(problem))
        return None
    sides = [side(root.findtext(f"size/{key}")) for key in ("width", "height")]
    if None in sides:
        said = " x ".join(repr(root.findtext(f"size/{key}")) for key in ("width", "height"))
        message = f"its size is {said}: write whole pixels, or 0"
        problems.add("unreadable annotation", file.name, "size", message)
        return None
    size = (sides[0] or 0, sides[1] or 0)
    objects = [_object(n, item, size) for n, item in enumerate(root.findall("object"), start=1)]
    return Page(
        file=file,
        filename=(root.findtext("filename") or "").strip(),
        width=size[0],
        height=size[1],
        objects=objects,
        nested=sum(1 for _ in root.iter("object")) - len(objects),
    )


def _object(position: int, item: Any, size: tuple[int, int]) -> Object:
    upright, turned = item.find("bndbox"), item.find("robndbox")
    return Object(
        number=position,
        name=(item.findtext("name") or "").strip(),
        difficult=flag((item.findtext("difficult") or "0").strip()) is True,
        box=_turned(turned, size) if upright is None else _box(upright),
        turned=upright is None and turned is not None,
    )


def _turned(node: Any, size: tuple[int, int]) -> Box | None:
    """Around a robndbox of roLabelImg: its centre, sides, and angle in radians."""
    keys = ("cx", "cy", "w", "h", "angle")
    cx, cy, w, h, angle = [None if node is None else number(node.findtext(k) or "") for k in keys]
    if cx is None or cy is None or w is None or h is None or angle is None:
        return None
    return around((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), math.degrees(angle), size)


def _box(node: Any) -> Box | None:
    """VOC's inclusive 1-based corners as continuous ones; None where a corner is no number."""
    if node is None:
        return None
    corners = (number(node.findtext(key) or "") for key in ("xmin", "ymin", "xmax", "ymax"))
    x1, y1, x2, y2 = corners
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    return (x1 - (x1 <= x2), y1 - (y1 <= y2), x2 - (x2 < x1), y2 - (y2 < y1))  # the lower one
