"""LabelMe: one JSON file an image, beside it."""

import math
from pathlib import Path
from typing import Any

from kedge.data.extremes import extremes_said, note_unreadable
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import Box, NamedBox, NamedImage, finish_named, numbers_of, size_of
from kedge.data.records import Data
from kedge.data.split_names import SPLITS
from kedge.data.turned import MESSAGE
from kedge.parse import read_json

LOOKED_FOR = "LabelMe: *.json with shapes and imagePath, beside the images"
_TURNED = ("rotation", "oriented_rectangle")  # four corners
_BOXED = ("rectangle", "polygon", "circle", "mask", *_TURNED)


def find(path: Path) -> dict[str, Path]:
    """{"": the folder} with LabelMe's files, its folders train, val and test, or {}."""
    if not path.is_dir():
        return {}
    if _is_labelme(path):
        return {"": path}
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and _is_labelme(p)]
    splits = {SPLITS[p.name]: p for p in folders if p.name in SPLITS}
    return splits or ({"": folders[0]} if len(folders) == 1 else {})


def _is_labelme(folder: Path) -> bool:
    for file in sorted(folder.glob("*.json"))[:5]:
        try:
            said = read_json(file)
        except ValueError:
            continue
        if isinstance(said, dict) and "shapes" in said and "imagePath" in said:
            return True
    return False


def read(folder: Path, ask: Ask) -> Data:
    """Read a folder: rectangles, and the boxes around polygons, circles, masks and turned
    rectangles, which are counted. So are points, lines and other shapes: they have no box. Classes
    are the names in all folders of the set."""
    problems = Problems(folder, ask.on_bad_box)
    images = _images(folder, problems, ask.extremes)
    others = [other for other in find(ask.path).values() if other != folder]
    quiet = Problems(folder, "drop")
    every = images + [image for other in others for image in _images(other, quiet)]
    names = sorted({box.label for image in every for box in image.boxes})
    bases = [folder, folder / "images", ask.root / "images", ask.root]
    return finish_named(images, bases, problems, ask, format="LabelMe", classes=names)


def _images(folder: Path, problems: Problems, extremes: bool = False) -> list[NamedImage]:
    found, without, odd = [], [], []
    turned: list[tuple[str, str]] = []
    for file in sorted(folder.glob("*.json")):
        try:
            said = read_json(file)
        except ValueError as problem:
            problems.add("unreadable annotation", file.name, "", str(problem))
            continue
        shapes = said.get("shapes") if isinstance(said, dict) else None
        path = said.get("imagePath") if isinstance(said, dict) else None
        size = (
            size_of(said.get("imageWidth"), said.get("imageHeight")) if shapes is not None else None
        )
        if not isinstance(shapes, list) or not isinstance(path, str) or size is None:
            message = "has no list of shapes, imagePath, imageWidth and imageHeight"
            problems.add("unreadable annotation", file.name, "", message)
            continue
        image = NamedImage(path, file.name, *size)
        for number, shape in enumerate(shapes, start=1):
            where = f"shape {number} of {file.name}"
            kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else None
            label = shape.get("label") if isinstance(shape, dict) else None
            if kind not in _BOXED and kind is not None:
                without.append(f"{kind!s:.40}, {where}")
                continue
            box = _box(shape.get("points"), kind) if isinstance(shape, dict) else None
            if box is None or not isinstance(label, str):
                problems.add("no box", path, where, "expected a label and two or more points")
                continue
            outline = None
            if extremes and kind in ("polygon", None):
                outline = extremes_said([[value for point in shape["points"] for value in point]])
                odd += [where] if outline is None else []
            image.boxes.append(NamedBox(box, label, where, extremes=outline))
            turned += [(path, where)] if kind in _TURNED else []
        found.append(image)
    problems.unused("shape without a box", without, "points, lines and the like have no box")
    note_unreadable(problems, odd)
    if turned:
        image, where = turned[0]
        problems.note("rotation", image, where, MESSAGE, count=len(turned))
    return found


def _box(points: Any, kind: Any) -> Box | None:
    if not isinstance(points, list) or len(points) < 2:
        return None
    pairs = [pair for point in points if (pair := numbers_of(point, 2)) is not None]
    if len(pairs) < len(points):
        return None
    if kind == "circle":  # its centre, and a point on it
        (x, y), (a, b) = pairs[:2]
        radius = ((a - x) ** 2 + (b - y) ** 2) ** 0.5 if max(map(abs, (a, b, x, y))) < 1e9 else 0.0
        return (x - radius, y - radius, x + radius, y + radius)
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    if any(value != value for value in (*xs, *ys)):
        return (math.nan, math.nan, math.nan, math.nan)
    return (min(xs), min(ys), max(xs), max(ys))
