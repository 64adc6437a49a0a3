"""The checks that every reader runs on its boxes. What fails is named.

A reader fills `RawImage`s and `RawBoxes` with what the files say, reports what it cannot even
read to `Problems`, and gets the data set back from `finish`. All formats share these rules:

- a coordinate that is NaN or infinite: dropped
- no width or no height: dropped
- flipped corners (x2 < x1 or y2 < y1): swapped by "clip", dropped by "drop"
- outside the image by more than `OVERSHOOT` pixels: clipped by "clip", dropped by "drop", and
  dropped by both when nothing is left inside. Up to `OVERSHOOT` pixels are cut off silently:
  rounding and 1-based coordinates do that to sound boxes.
"""

import numpy as np

from kedge.data.class_lists import look_at_classes
from kedge.data.extremes import on_sides
from kedge.data.image_checks import check_images
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage
from kedge.data.records import Data, Record
from kedge.parse import shown

OVERSHOOT = 1.0


def finish(
    images: list[RawImage],
    boxes: RawBoxes,
    problems: Problems,
    ask: Ask,
    *,
    format: str,
    classes: tuple[str, ...],
    category_ids: tuple[int, ...] | None = None,
    said: int | None = None,
    look_at_files: bool | None = None,
) -> Data:
    """Check everything and make the data set. `said`: how many images the annotations name, where
    some are lost already; `look_at_files`: by default as `ask` says, and always where a size is not
    said, which the files alone know.

    Raises ValueError for what `ask` does not let pass, and where no image is left.
    """
    look_at_classes(classes, problems)
    if look_at_files is None:
        unsaid = any(i.file is not None and not (i.width and i.height) for i in images)
        look_at_files = ask.check_images or unsaid
    records = check(images, boxes, problems, look_at_files)
    problems.stop()
    problems.stop_if_nothing_is_left(len(images) if said is None else said, len(records))
    return Data(
        source=str(problems.source),
        format=format,
        split=ask.split,
        splits=ask.splits,
        classes=tuple(shown(name) for name in classes),
        category_ids=tuple(range(len(classes))) if category_ids is None else category_ids,
        records=records,
        findings=problems.findings,
        root=ask.root if ask.rooted else None,
    )


def check(
    images: list[RawImage], boxes: RawBoxes, problems: Problems, look_at_files: bool = True
) -> list[Record]:
    """Check images and boxes and pack what is sound into records, in the order of `images`."""
    keep_image = np.ones(len(images), bool)
    if look_at_files:
        keep_image[:] = check_images(images, problems)
    problems.lost_with_images(int((~keep_image[boxes.image]).sum()))
    sizes = np.array([(i.width, i.height) for i in images], np.float64).reshape(-1, 2)
    xyxy, keep = _check_boxes(images, sizes, boxes, keep_image, problems)
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(boxes.image[rows], kind="stable")]
    if len(rows) and boxes.crowd[rows].all():
        message = "no object is left to learn from: every box is marked as a crowd or to be ignored"
        problems.note("every box is a crowd region", "", "", message, count=len(rows))
    start = np.searchsorted(boxes.image[rows], np.arange(len(images) + 1)).tolist()
    xyxy, labels = xyxy[rows], boxes.label[rows].astype(np.int64)
    crowd = boxes.crowd[rows].astype(bool)
    area = None if boxes.area is None else boxes.area[rows]
    extremes = boxes.extremes
    if extremes is not None:
        extremes = on_sides(extremes[rows].astype(np.float32), xyxy)
    records = []
    for index, image in enumerate(images):
        if not keep_image[index]:
            continue
        mine = slice(start[index], start[index + 1])
        records.append(
            Record(
                file=image.file,
                width=int(image.width),
                height=int(image.height),
                boxes=xyxy[mine],
                labels=labels[mine],
                crowd=crowd[mine],
                image_id=image.image_id,
                name=shown(image.name),
                upright=image.upright,
                black_white=image.black_white,
                extremes=None if extremes is None else extremes[mine],
                area=None if area is None else area[mine],
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
