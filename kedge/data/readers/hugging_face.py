"""Hugging Face's image folders: metadata.jsonl with file_name and objects."""

from pathlib import Path
from typing import Any

from kedge.data.areas import area_of
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, NamedImage, finish_named, numbers_of, size_of
from kedge.data.records import Data
from kedge.data.split_names import short
from kedge.parse import flag, read_json_lines

LOOKED_FOR = "Hugging Face: metadata.jsonl (in train/, validation/, test/), beside the images"
_CROWD = ("iscrowd", "is_crowd", "ignore")
_CATEGORIES = ("categories", "category", "labels", "label", "category_id", "classes")


def find(path: Path) -> dict[str, Path]:
    """The metadata.jsonl of a folder or of its splits; a single one as {"": file}; or {}."""
    if not path.is_dir():
        return {"": path} if path.name == "metadata.jsonl" else {}
    if (path / "metadata.jsonl").is_file():
        return {"": path / "metadata.jsonl"}
    files = sorted(path.glob("*/metadata.jsonl"))
    return {short(file.parent.name): file for file in files}


def read(file: Path, ask: Ask) -> Data:
    """Read a file: a line an image, its `objects` with lists `bbox` (x, y, width, height in
    pixels) and `categories`, names or numbers (numbers are called "class 0"), `iscrowd` where
    there are crowds, and `area`, of the masks, where that is said. Classes are those of all
    splits."""
    problems = Problems(file, ask.on_bad_box)
    images = _images(file, problems)
    every = list(images)
    for other in find(ask.path).values() if ask.splits else ():
        if other != file:
            every += _images(other, Problems(other, "drop"))
    labels = {box.label for image in every for box in image.boxes}
    names = sorted(labels, key=lambda name: (len(name) if name.startswith("class ") else 0, name))
    bases = [file.parent, file.parent / "images", ask.root]
    return finish_named(images, bases, problems, ask, format="Hugging Face", classes=names)


def _images(file: Path, problems: Problems) -> list[NamedImage]:
    found = []
    for line, said in read_json_lines(file):
        where = f"line {line}"
        name = said.get("file_name") if isinstance(said, dict) else None
        size = size_of(said.get("width"), said.get("height")) if isinstance(name, str) else None
        if not isinstance(name, str) or size is None:
            problems.add("unreadable record", "", where, "expected an object with file_name")
            continue
        image = NamedImage(name, where, *size)
        columns = _columns(said.get("objects"))
        if columns is None or len({len(column) for column in columns}) > 1:
            message = "objects: expected lists bbox, categories, iscrowd and area of one length"
            problems.add("unreadable record", name, where, message)
            continue
        for number, (box, label, mark, area) in enumerate(zip(*columns), start=1):
            at = f"object {number} of {where}"
            values = numbers_of(box, 4)
            text = label if isinstance(label, str) else f"class {label}"
            if values is None or isinstance(label, (list, dict, float, bool, type(None))):
                problems.add("no box", name, at, "expected bbox x, y, width, height and a category")
                continue
            crowd = flag(mark)
            if crowd is None:
                message = f"iscrowd is {mark!r:.60}: expected 0 or 1"
                problems.add("unreadable record", name, at, message)
                continue
            x, y, w, h = values
            image.boxes.append(NamedBox((x, y, x + w, y + h), text, at, crowd, area=area_of(area)))
        found.append(image)
    return found


def _columns(objects: Any) -> tuple[list[Any], ...] | None:
    """Boxes, categories, crowd marks and areas of `objects`: lists by name, or a list of objects,
    or nothing. None where they are anything else."""
    if objects is None:
        return [], [], [], []
    if isinstance(objects, list):
        objects = {
            key: [row.get(key) if isinstance(row, dict) else None for row in objects]
            for key in ("bbox", "area", *_CATEGORIES, *_CROWD)
        }
        kept = {
            key: values for key, values in objects.items() if any(v is not None for v in values)
        }
        objects = kept or {"bbox": []}
    if not isinstance(objects, dict) or not isinstance(objects.get("bbox"), list):
        return None
    said = {key: values for key, values in objects.items() if values is not None}
    boxes = said["bbox"]
    labels = next((said[key] for key in _CATEGORIES if key in said), ["object"] * len(boxes))
    crowd = next((said[key] for key in _CROWD if key in said), [0] * len(boxes))
    area = said.get("area", [None] * len(boxes))
    columns = boxes, labels, crowd, area
    return columns if all(isinstance(column, list) for column in columns) else None
