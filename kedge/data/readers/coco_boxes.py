"""The boxes of a COCO JSON file, and what is wrong with its annotations."""

import numpy as np

from kedge.data.areas import areas_of
from kedge.data.extremes import Extremes, note_unreadable, packed
from kedge.data.problems import Problems
from kedge.data.raw import RawBoxes
from kedge.data.readers.coco_json import rotation
from kedge.data.readers.coco_types import CocoAnnotation, CocoFile, CocoOutlined
from kedge.data.turned import MESSAGE, around
from kedge.parse import side


def boxes_of(
    coco: CocoFile, index: dict[int, int], labels: dict[int, int], problems: Problems
) -> RawBoxes:
    """All boxes that can be read. `index`: where each image id is among the images (-1: left out);
    `labels`: the label of each category id."""
    names = {image.id: image.file_name for image in coco.images}
    image, xywh, label, crowd = [], [], [], []
    kept: list[CocoAnnotation] = []
    seen: set[int] = set()
    lost, ignored = 0, 0
    turned: dict[int, float] = {}
    extremes: list[Extremes | None] = []
    odd: list[str] = []
    assert isinstance(coco.annotations, list)
    for entry in coco.annotations:
        where = index.get(entry.image_id)
        trouble = _trouble(entry, where, labels, seen)
        seen.add(entry.id)
        if trouble is not None:
            name = names.get(entry.image_id, f"image id {entry.image_id}")
            problems.add(trouble[0], name, f"annotation {entry.id}", trouble[1])
        elif where is None or where < 0:  # its image was left out, and reported
            lost += 1
        else:
            image.append(where)
            xywh.append([np.nan if value is None else value for value in entry.bbox or ()])
            label.append(labels[entry.category_id])
            ignored += bool(entry.ignore) and not entry.iscrowd
            crowd.append(bool(entry.iscrowd or entry.ignore))
            kept.append(entry)
            outline = entry.segmentation if isinstance(entry, CocoOutlined) else None
            extremes.append(None if outline is None or crowd[-1] else outline.extremes)
            odd += [f"annotation {entry.id}"] if outline is not None and outline.odd else []
            angle = rotation(entry) if entry.attributes else 0.0
            if angle:
                turned[len(kept) - 1] = angle
    corners = np.array(xywh, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        corners[:, 2:] += corners[:, :2]
    sizes = {index[i.id]: (side(i.width) or 0, side(i.height) or 0) for i in coco.images}
    for row, angle in turned.items():
        corners[row] = around(corners[row], angle, sizes[image[row]])
    first = next((f"annotation {kept[row].id}" for row in turned), "")
    _say(problems, lost, ignored, len(turned), first)
    note_unreadable(problems, odd)

    def place(row: int) -> str:
        return f"annotation {kept[row].id}"

    return RawBoxes(
        image=np.array(image, np.int64),
        xyxy=corners,
        label=np.array(label, np.int64),
        crowd=np.array(crowd, bool),
        where=place,
        extremes=packed(extremes),
        area=areas_of([entry.area for entry in kept], place, problems),
    )


def _say(problems: Problems, lost: int, ignored: int, turned: int, first: str) -> None:
    problems.lost_with_images(lost)
    if ignored:
        message = 'marked "ignore": read as crowd regions, neither object nor background'
        problems.note("ignored annotation", "", "", message, count=ignored)
    if turned:
        problems.note("rotation", "", first, MESSAGE, count=turned)


def _trouble(
    entry: CocoAnnotation, where: int | None, labels: dict[int, int], seen: set[int]
) -> tuple[str, str] | None:
    """What is wrong with an annotation before its box is looked at: (kind, message) or None."""
    if entry.id in seen:
        return "duplicate annotation id", "used twice: give every annotation its own id"
    if where is None:
        return "unknown image", f"there is no image with id {entry.image_id}: remove it"
    if entry.category_id not in labels:
        known = ", ".join(str(i) for i in list(labels)[:10])
        return "unknown category", f"category id {entry.category_id}; known ids are {known} ..."
    if entry.bbox is not None and len(entry.bbox) == 5:
        return "rotated box", "bbox has five numbers, an angle: write the upright box around it"
    if entry.bbox is None or len(entry.bbox) != 4:
        return "no box", f"bbox is {entry.bbox!r:.60}: write x, y, width, height"
    return None
