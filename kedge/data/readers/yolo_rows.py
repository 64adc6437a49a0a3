"""Rows of YOLO label files: a class, and a box, a polygon, or a box with key points or a score."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kedge.counted import count
from kedge.data.extremes import extremes_said
from kedge.data.problems import Problems
from kedge.data.raw import Rows
from kedge.data.turned import MESSAGE, is_turned
from kedge.parse import number, read_lines

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A line that is not blank: the number of its image, its words, and where it stands."""

    image: int
    name: str
    words: list[str]
    where: str


def rows_of(file: Path, image: int, name: str, problems: Problems) -> list[Row]:
    """The lines of a label file. A file that is no text is a problem of its own."""
    try:
        lines = read_lines(file)
    except ValueError as problem:
        problems.add("unreadable annotation", name, file.name, str(problem))
        return []
    return [
        Row(image, name, line.split(), f"line {n} of {file.name}")
        for n, line in enumerate(lines, start=1)
        if line.strip()
    ]


def boxes_of(
    rows: list[Row], classes: int, keypoints: bool, problems: Problems, extremes: bool = False
) -> Rows:
    """Boxes in shares of the image. What cannot be understood is reported row by row. `extremes`:
    polygons give extreme points, too, unless all rows have four corners: those are turned boxes."""
    scored = not keypoints and _have_scores(rows)
    if scored:
        message = (
            "every row has a score, or a track's number, after its box, as a detector writes them; "
            "the boxes are read, the rest is not used"
        )
        problems.note("scores in labels", rows[0].name, rows[0].where, message, count=len(rows))
    corners = _say_turned(rows, problems)
    found = Rows()
    for row in rows:
        values = _numbers(row.words)
        if values is None:
            cure = "class cx cy w h"
            if "," in " ".join(row.words):
                cure += ", with spaces between them and no commas"
            message = f"{' '.join(row.words)!r:.80} is not numbers: {cure}"
            problems.add("no box", row.name, row.where, message)
            continue
        label = values[0]
        if label != label // 1 or not 0 <= label < classes:
            message = f"class {row.words[0]}; classes are 0 to {classes - 1}"
            problems.add("unknown category", row.name, row.where, message)
            continue
        box = _box(values[1:5] if scored else values[1:], keypoints)
        if box is None:
            message = (
                count(len(values), "number") + "; expected class cx cy w h, or class and a polygon"
            )
            problems.add("no box", row.name, row.where, message)
            continue
        outline = None
        if extremes and not corners and not keypoints and not scored and len(values) > 5:
            outline = extremes_said([values[1:]])
        found.add(row.image, box, int(label), row.where, extremes=outline)
    return found


def _numbers(words: Iterable[str]) -> list[float] | None:
    values = [number(word) for word in words]
    if any(value is None for value in values) or values[0] in (float("inf"), -float("inf")):
        return None
    found = [value for value in values if value is not None]
    return None if found[0] != found[0] else found


def _have_scores(rows: list[Row]) -> bool:
    """Whether the rows are `class cx cy w h score`, `... track` or `... score track`, all of them.

    A triangle has seven numbers, too: its last is a share, with a point, not a whole number.
    """
    if not rows or any(len(row.words) not in (6, 7) for row in rows):
        return False
    for row in rows:
        score = number(row.words[5])
        if len(row.words) == 7 and not row.words[6].lstrip("-").isdecimal():
            return False
        whole = len(row.words) == 6 and row.words[5].isdecimal()
        if score is None or not (whole or 0 <= score <= 1):
            return False
    return True


def _say_turned(rows: list[Row], problems: Problems) -> bool:
    """Whether every row is a class and four corners; how many are no upright rectangles is said."""
    if not rows or any(len(row.words) != 9 for row in rows):
        return False
    turned = []
    for row in rows:
        values = _numbers(row.words)
        if values is not None and is_turned(list(zip(values[1::2], values[2::2], strict=True))):
            turned.append(row)
    if turned:
        problems.note("rotation", turned[0].name, turned[0].where, MESSAGE, count=len(turned))
    return True


def _box(values: list[float], keypoints: bool) -> Box | None:
    """Normalised corners of `cx cy w h`, or of the box around a polygon."""
    if len(values) == 4 or (keypoints and len(values) > 4):
        cx, cy, w, h = values[:4]
        return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        if any(x != x for x in values):
            return (math.nan, math.nan, math.nan, math.nan)
        return min(xs), min(ys), max(xs), max(ys)
    return None
