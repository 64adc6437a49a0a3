"""The same image in two splits: then scores tell how well the detector remembers."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from kedge.data import Data, Record
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent

_SHOWN = 5


def check(context: Context) -> list[Finding]:
    """Image files of this split that stand, byte for byte, in another split of the data set, too.

    Files are compared by their content, since names repeat from folder to folder; only those of
    equal size are read. Pictures that were saved again are not found.
    """
    found = []
    for name, other in context.other_splits.items():
        pairs = same_files(context.data.records, other.records)
        if pairs:
            found.append(_finding(context, name, other, pairs))
    return found


def same_files(one: Sequence[Record], two: Sequence[Record]) -> list[tuple[int, int]]:
    """Rows (i, j) of records whose image files are the same or equal, byte for byte."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for j, record in enumerate(two):
        size = _size(record)
        if size:
            by_size[size].append(j)
    known: dict[Path, str] = {}
    pairs = []
    for i, record in enumerate(one):
        for j in by_size.get(_size(record), ()):
            if _digest(record, known) == _digest(two[j], known):
                pairs.append((i, j))
    return pairs


def _size(record: Record) -> int:
    file = record.file
    return file.stat().st_size if file is not None and file.is_file() else 0


def _digest(record: Record, known: dict[Path, str]) -> str:
    assert record.file is not None
    if record.file not in known:
        known[record.file] = hashlib.sha256(record.file.read_bytes()).hexdigest()
    return known[record.file]


def _finding(context: Context, name: str, other: Data, pairs: list[tuple[int, int]]) -> Finding:
    here, there = ({pair[k] for pair in pairs} for k in (0, 1))
    mine = context.data.split or "this split"
    share = len(there) / len(other)
    left = len(context.data) - len(here), len(other) - len(there)
    trained, measured, fresh, total = mine, name, left[1], len(other)
    if name.startswith("train") and not mine.startswith("train"):
        trained, measured, fresh, total = name, mine, left[0], len(context.data)
    title = [
        [context.names[i], other.records[j].name or f"image {other.records[j].image_id}"]
        for i, j in pairs[:_SHOWN]
    ]
    return Finding(
        check="images_in_two_splits",
        severity="warning",
        symptom=f"{count(len(here), 'image')} of {mine} stand in {name}, too: "
        f"{percent(share)} of {name}",
        evidence={
            "images": len(here),
            "share_of_other_split": share,
            "splits": [mine, name],
            "pairs": title,
            "worst_images": [{"image": a, f"in {name}": b} for a, b in title],
        },
        cause="The images were split after they had been copied or cut from one recording, or one "
        "split was made from the other.",
        cure=f"Take these images out of {mine}; keep all pictures of one scene in one split. "
        "Scores measured until then are too good.",
        predicted={
            "text": f"a detector trained on {trained} never saw {fresh:,} of "
            f"{count(total, 'image')} of {measured}: measure on these",
            "unseen_images": fresh,
            "images_left": left[0],
        },
    )
