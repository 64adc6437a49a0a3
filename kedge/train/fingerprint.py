"""What a run was trained on, in a few words: told apart from data that changed since."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from kedge.data import Data, Record

Fingerprint = dict[str, dict[str, Any]]  # part -> count, sha256


def fingerprint(data: Data) -> Fingerprint:
    """Number and SHA-256 of the classes, images and boxes of a split, in their order.

    Classes: their names. Images: name, width and height; pixels are not read. Boxes: coordinates
    (float32), label and whether it is a crowd, image by image. Extreme points where they were read.
    """
    parts = {
        "classes": _part(len(data.classes), (name.encode() for name in data.classes)),
        "images": _part(len(data), map(_image, data.records)),
        "boxes": _part(data.num_boxes, map(_boxes, data.records)),
    }
    extremes = [record.extremes for record in data.records if record.extremes is not None]
    if extremes:
        rows = (np.ascontiguousarray(part, "<f4").tobytes() for part in extremes)
        parts["extreme points"] = _part(sum(map(len, extremes)), rows)
    return parts


def changes(before: Fingerprint, now: Fingerprint) -> str:
    """What differs between two fingerprints, in words; empty where nothing does."""
    if not before:
        return "what they were then is not known"
    said = []
    for part in now | before:
        was, mark = (marks.get(part, {"count": 0}) for marks in (before, now))
        if was["count"] != mark["count"]:
            said.append(f"{_said(was['count'], part)} then, {mark['count']} now")
        elif was.get("sha256") != mark.get("sha256"):
            said.append(f"{_said(mark['count'], part)} as then, but not the same")
    return "; ".join(said)


def _said(number: int, part: str) -> str:
    word = {"images": "image", "boxes": "box", "classes": "class"}.get(part, part)
    return f"{number} {word if number == 1 else part}"


def _part(count: int, pieces: Iterable[bytes]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))  # or ["ab", "c"] would equal ["a", "bc"]
        digest.update(piece)
    return {"count": count, "sha256": digest.hexdigest()}


def _image(record: Record) -> bytes:
    name = record.name or (record.file.name if record.file else "")
    return f"{record.width} x {record.height} {name}".encode("utf-8", "surrogatepass")


def _boxes(record: Record) -> bytes:
    columns = ((record.boxes, "<f4"), (record.labels, "<i8"), (record.crowd, "?"))
    return b"".join(np.ascontiguousarray(values, kind).tobytes() for values, kind in columns)
