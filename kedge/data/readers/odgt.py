"""CrowdHuman: annotation_train.odgt, a JSON object a line."""

from pathlib import Path
from typing import Any

from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, NamedImage, finish_named, numbers_of
from kedge.data.records import Data
from kedge.parse import flag, read_json_lines

LOOKED_FOR = "CrowdHuman: *.odgt, with Images/"


def find(path: Path) -> dict[str, Path]:
    """The .odgt files of a folder by split ("annotation_train.odgt"), or a single one."""
    if not path.is_dir():
        return {"": path} if path.suffix.lower() == ".odgt" else {}
    return {p.stem.removeprefix("annotation_"): p for p in sorted(path.glob("*.odgt"))}


def read(file: Path, ask: Ask) -> Data:
    """Read a file: "fbox", the box of the full body, of each of "gtboxes"; the visible part and
    the head are not used. What is tagged "mask" or to be ignored becomes a crowd."""
    problems = Problems(file, ask.on_bad_box)
    images: list[NamedImage] = []
    ignored, others = 0, 0
    for line, said in read_json_lines(file):
        where = f"line {line}"
        name = said.get("ID") if isinstance(said, dict) else None
        boxes = said.get("gtboxes", []) if isinstance(said, dict) else None
        if not isinstance(name, str) or not isinstance(boxes, list):
            problems.add("unreadable record", "", where, "expected an object with ID and gtboxes")
            continue
        image = NamedImage(name, where)
        for number, entry in enumerate(boxes, start=1):
            found = _box(entry, f"box {number} of {where}")
            if found is None:
                message = "expected fbox: left, top, width, height, and a tag"
                problems.add("no box", name, f"box {number} of {where}", message)
                continue
            ignored += found.crowd
            others += ("vbox" in entry) + ("hbox" in entry)
            image.boxes.append(found)
        images.append(image)
    if ignored:
        message = "masks and boxes to be ignored: crowd regions, neither object nor background"
        problems.note("ignored annotation", "", "", message, count=ignored)
    if others:
        message = "vbox (the visible part) and hbox (the head) are not used; fbox is"
        problems.note("other boxes of a person", "", "", message, count=others)
    places = [ask.root / "Images", ask.root / "images", ask.root]
    classes = ["person"]
    return finish_named(images, places, problems, ask, format="CrowdHuman", classes=classes)


def _box(entry: Any, where: str) -> NamedBox | None:
    if not isinstance(entry, dict):
        return None
    box, tag = numbers_of(entry.get("fbox"), 4), entry.get("tag", "person")
    if box is None or tag not in ("person", "mask"):
        return None
    extra = entry.get("extra")
    crowd = tag == "mask" or (isinstance(extra, dict) and flag(extra.get("ignore")) is True)
    x, y, w, h = box
    return NamedBox((x, y, x + w, y + h), "person", where, crowd)
