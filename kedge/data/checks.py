"""The checks that every reader runs: paths, image files, boxes. What fails is named.

A reader fills `RawImage`s and `RawBoxes` with what the files say, reports what it cannot even
read to `Problems`, and gets records back from `check`. All formats share these rules:

- a coordinate that is NaN or infinite: dropped
- no width or no height: dropped
- flipped corners (x2 < x1 or y2 < y1): swapped by "clip", dropped by "drop"
- outside the image by more than `OVERSHOOT` pixels: clipped by "clip", dropped by "drop", and
  dropped by both when nothing is left inside. Up to `OVERSHOOT` pixels are cut off silently:
  rounding and 1-based coordinates do that to sound boxes.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kedge.data import images as image_files
from kedge.data.records import Finding, OnBadBox, Record

OVERSHOOT = 1.0
_SHOWN = 5


class Problems:
    """Collects findings; `stop()` raises once for all that the caller did not agree to repair."""

    def __init__(self, source: str | Path, on_bad_box: OnBadBox) -> None:
        if on_bad_box not in ("error", "drop", "clip"):
            raise ValueError(f'on_bad_box must be "error", "drop" or "clip", not {on_bad_box!r}')
        self.source = source
        self.on_bad_box = on_bad_box
        self.findings: list[Finding] = []
        self.fatal: list[Finding] = []

    def add(
        self,
        kind: str,
        image: str,
        record: str,
        message: str,
        clipped: bool = False,
        box: tuple[float, ...] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """A problem: an error, or something dropped (or clipped, where that was possible)."""
        repaired = clipped and self.on_bad_box == "clip"
        action = "clipped" if repaired else "dropped"
        if self.on_bad_box == "error":
            action = "error"
        self.findings.append(
            Finding(
                kind=kind,
                image=image,
                record=record,
                message=message,
                action=action,
                box=box,
                size=size,
            )
        )

    def note(self, kind: str, image: str, record: str, message: str) -> None:
        """Something worth knowing that changes nothing."""
        self.findings.append(
            Finding(kind=kind, image=image, record=record, message=message, action="kept")
        )

    def refuse(self, kind: str, image: str, record: str, message: str) -> None:
        """An error whatever `on_bad_box` says."""
        self.fatal.append(
            Finding(kind=kind, image=image, record=record, message=message, action="error")
        )

    def stop(self) -> None:
        """Raise ValueError with the first few errors and the count of each kind, if any."""
        errors = self.fatal or [f for f in self.findings if f.action == "error"]
        if not errors:
            return
        kinds = Counter(finding.kind for finding in errors)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        lines = [f"{self.source}: {len(errors)} problem(s): {counts}"]
        lines += [f"  {finding}" for finding in errors[:_SHOWN]]
        if len(errors) > _SHOWN:
            lines.append(f"  ... and {len(errors) - _SHOWN} more")
        if self.fatal:
            lines.append("No option accepts these: correct the files.")
        else:
            lines.append(
                'Correct the files, or pass on_bad_box="clip" (repair what can be repaired, '
                'drop the rest) or on_bad_box="drop" (drop every bad box).'
            )
        raise ValueError("\n".join(lines))


@dataclass(slots=True, kw_only=True)
class RawImage:
    """An image as the annotations name it. width = 0: not said; file = None: boxes only."""

    name: str
    file: Path | None
    image_id: int
    width: int = 0
    height: int = 0
    upright: bool = True


@dataclass(slots=True, kw_only=True)
class RawBoxes:
    """All boxes of all images, packed: `image` (n,) index into the images, `xyxy` (n, 4) float64
    as the files say them, `label` (n,), `crowd` (n,); `where(row)` names a row's record."""

    image: np.ndarray
    xyxy: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    where: Callable[[int], str]


def inside(root: Path, base: Path, name: str) -> Path | None:
    """`base / name` with symbolic links resolved, or None when that lies outside of `root`."""
    try:
        path = (base / name).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null byte
        return None
    return path if path.is_relative_to(root.resolve()) else None


def locate(root: Path, bases: list[Path], name: str, problems: Problems) -> Path | None:
    """Where the file `name` lies: the first of `bases` that has it, never outside `root`.

    Returns None, with the problem recorded, when the name leaves the folder (refused), or when
    no such file exists (dropped or an error).
    """
    paths = [inside(root, base, name) for base in bases] if name else []
    for path in paths:
        if path is not None and path.is_file():
            return path
    if None in paths or not paths:
        message = (
            f"the path leaves the data folder {root} (symbolic links resolved): move the file "
            "into the folder"
        )
        problems.refuse("path outside the folder", name, "", message)
        return None
    problems.add("missing image", name, "", f"no such file: looked for {paths[0]}")
    return None


def check_images(images: list[RawImage], problems: Problems) -> list[bool]:
    """Look at every image file; fill in sizes that are not said. Returns which images to keep."""
    return [_check_image(image, problems) for image in images]


def _check_image(image: RawImage, problems: Problems) -> bool:
    if image.file is None:
        return True
    try:
        seen = image_files.look(image.file)
    except OSError as problem:
        message = f"unreadable or truncated ({problem}): replace {image.file}"
        problems.add("unreadable image", image.name, "", message)
        return False
    stored = (seen.width, seen.height)
    upright = stored[::-1] if seen.swaps else stored
    said = (image.width, image.height)
    if 0 in said:
        image.width, image.height = upright
    elif said == stored != upright:
        image.upright = False
        problems.note(
            "EXIF orientation not applied",
            image.name,
            "",
            f"annotated as {said[0]} x {said[1]}, the size of the stored pixels; turned upright "
            f"the image is {upright[0]} x {upright[1]}. The boxes are taken to be those of the "
            "stored pixels",
        )
    elif said != upright:
        message = (
            f"annotated as {said[0]} x {said[1]}, but the file is {upright[0]} x {upright[1]}: "
            "correct the annotated size, and check that its boxes fit the file"
        )
        problems.add("wrong image size", image.name, "", message, clipped=True)
        image.width, image.height = upright
        return problems.on_bad_box == "clip"  # its boxes are then checked against the true size
    return True


def check(
    images: list[RawImage], boxes: RawBoxes, problems: Problems, look_at_files: bool = True
) -> list[Record]:
    """Check images and boxes and pack what is sound into records, in the order of `images`."""
    keep_image = np.ones(len(images), bool)
    if look_at_files:
        keep_image[:] = check_images(images, problems)
    sizes = np.array([(i.width, i.height) for i in images], np.float64).reshape(-1, 2)
    xyxy, keep = _check_boxes(images, sizes, boxes, keep_image, problems)
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(boxes.image[rows], kind="stable")]
    start = np.searchsorted(boxes.image[rows], np.arange(len(images) + 1))
    records = []
    for index, image in enumerate(images):
        if not keep_image[index]:
            continue
        mine = rows[start[index] : start[index + 1]]
        records.append(
            Record(
                file=image.file,
                width=int(image.width),
                height=int(image.height),
                boxes=xyxy[mine],
                labels=boxes.label[mine].astype(np.int64),
                crowd=boxes.crowd[mine].astype(bool),
                image_id=image.image_id,
                name=image.name,
                upright=image.upright,
            )
        )
    return records


def _check_boxes(
    images: list[RawImage],
    sizes: np.ndarray,
    boxes: RawBoxes,
    keep_image: np.ndarray,
    problems: Problems,
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes repaired, (n, 4) float32, and which of them to keep, (n,) bool."""
    keep = keep_image[boxes.image]
    xyxy = boxes.xyxy.astype(np.float64)
    size = np.tile(sizes[boxes.image], 2)
    size[size == 0] = np.inf  # nobody knows how large the image is

    def report(rows: np.ndarray, kind: str, cure: str, clipped: bool = False) -> None:
        for row in np.flatnonzero(rows):
            image = images[boxes.image[row]]
            corners = ", ".join(f"{value:g}" for value in boxes.xyxy[row])
            message = f"box ({corners}) in an image of {image.width} x {image.height}: {cure}"
            corner, size = tuple(boxes.xyxy[row].tolist()), (int(image.width), int(image.height))
            where = boxes.where(int(row))
            problems.add(kind, image.name, where, message, clipped, box=corner, size=size)

    with np.errstate(invalid="ignore", over="ignore"):
        bad = keep & ~np.isfinite(xyxy.astype(np.float32)).all(axis=1)
    report(bad, "NaN or infinite", "remove it or write numbers")
    keep &= ~bad
    xyxy[~keep] = 0
    bad = keep & _flat(xyxy)
    report(bad, "zero area", "remove it or give it a width and a height")
    keep &= ~bad
    bad = keep & (xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)
    report(bad, "flipped", "swap its corners", clipped=True)
    keep &= ~bad | (problems.on_bad_box == "clip")
    xyxy = np.concatenate(
        [np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])], axis=1
    )
    outside = keep & ((xyxy < -OVERSHOOT) | (xyxy > size + OVERSHOOT)).any(axis=1)
    xyxy = np.clip(xyxy, 0, size)
    lost = keep & _flat(xyxy)
    report(outside & ~lost, "outside the image", "clip it to the image", clipped=True)
    report(lost, "outside the image", "nothing of it lies inside: remove it")
    keep &= ~lost & (~outside | (problems.on_bad_box == "clip"))
    return xyxy.astype(np.float32), keep


def _flat(xyxy: np.ndarray) -> np.ndarray:
    """Boxes with no width or no height once they are float32."""
    single = xyxy.astype(np.float32)
    return (single[:, 2:] == single[:, :2]).any(axis=1)
