"""What a reader returns: records (one per image), findings (what was wrong) and the data set."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from kedge.counted import count

OnBadBox = Literal["error", "drop", "clip"]
Action = Literal["error", "dropped", "clipped", "kept", "unused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong, or worth knowing, in a data set.

    `kind` groups findings of one sort ("flipped", "outside", ...), `image` is the image's file
    name, `record` says which annotation, line or object of it (empty: the image itself),
    `action` what was done about it: "error" (reading stops), "dropped", "clipped", "kept" (worth
    knowing, nothing was lost) or "unused" (seen in the folder, and not part of the data).
    `message` is the reader's own reason. `count`: how many things of the kind this one stands for.
    `box`: the xyxy pixels that the files say, and `size` the image's (width, height), where the
    finding is about a box. All text is printable: control characters are written out.
    """

    kind: str
    image: str
    record: str
    message: str
    action: Action
    box: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    count: int = 1

    def __str__(self) -> str:
        if not self.image:  # about the data set
            return f"{self.record}: {self.kind}: {self.message}".removeprefix(": ")
        name = self.image if len(self.image) < 200 else f"{self.image[:100]}...{self.image[-60:]}"
        where = f"{self.record} of {name!r}" if self.record else repr(name)
        return f"{where}: {self.kind}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One image and its objects.

    `boxes` (n, 4) float32 xyxy pixels of the image as annotated (width x height), `labels` (n,)
    int64 0-based, `crowd` (n,) bool (regions that are neither object nor background).
    `file` is None for boxes without images and for drawn images; `draw()` then returns the
    pixels (H, W, 3) uint8, if there are any. `upright` False: the file's EXIF orientation is
    not applied, because the annotation was written for the stored pixels. `black_white`: the
    values shown as black and white, where they are not those of the file's type (float, 12 bits).
    `extremes`: (n, 4) float32, as `kedge.data.extremes` defines them, NaN for objects that have
    none; None where nobody asked, or none has. `area`: (n,) float64 pixels of the objects' masks,
    as COCO JSON says them, which decide what is small, medium or large where detections are scored;
    NaN for objects of which it does not, None where it says none.
    """

    file: Path | None
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    image_id: int
    name: str = ""
    draw: Callable[[], np.ndarray] | None = None
    upright: bool = True
    black_white: tuple[float, float] | None = None
    extremes: np.ndarray | None = None
    area: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """A data set, or one split of it.

    `classes[label]` is a class name and `category_ids[label]` its id in the files (for results
    in the files' own ids). `splits` are the names that `read(path, split=...)` understands. `root`:
    the data folder, where `read` was told of one.
    """

    source: str
    format: str
    split: str | None
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: list[Record]
    findings: list[Finding] = field(default_factory=list)
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def num_boxes(self) -> int:
        """Boxes in all records, crowd regions included."""
        return sum(len(record.boxes) for record in self.records)

    def summary(self) -> str:
        """A few printable lines: what was read, and what was dropped or clipped, by kind."""
        split = f", split {self.split}" if self.split else ""
        empty = sum(len(record.boxes) == 0 for record in self.records)
        crowd = sum(int(record.crowd.sum()) for record in self.records)
        lines = [
            f"{self.source} ({self.format}{split}): {count(len(self), 'image')} ({empty:,} empty), "
            f"{count(self.num_boxes, 'box', 'boxes')} ({crowd:,} crowd), "
            f"{count(len(self.classes), 'class', 'classes')}"
        ]
        return "\n".join(lines + [f"  {line}" for line in said(self)])


def said(data: Data) -> list[str]:
    """What was seen and not used, changed, or is worth knowing: a line for every kind, with its
    count, the first of it and the reader's reason. Every command prints them."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in data.findings:
        kinds.setdefault((finding.action, finding.kind), []).append(finding)
    lines = []
    for (action, kind), found in sorted(kinds.items()):
        number = sum(finding.count for finding in found)
        first = str(found[0]).replace(f"{kind}: ", "", 1)
        more = " (the first)" if len(found) > 1 else ""
        lines.append(f"{action}: {number} x {kind}: {first}{more}")
    return lines
