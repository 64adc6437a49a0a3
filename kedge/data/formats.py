"""The forms of annotation that can be read, in the order in which a path is tried for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kedge.data.raw import Ask
from kedge.data.readers import (
    coco,
    hugging_face,
    kitti,
    labelme,
    npz,
    odgt,
    table,
    visdrone,
    voc,
    wider_face,
    yolo,
)
from kedge.data.records import Data


@dataclass(frozen=True, kw_only=True)
class Format:
    """A form. `find(path)`, of a folder or a file: its splits and where each is read from, "" for a
    set without splits, {} where the path does not hold this form. `classes(place)`: the class names
    of one split, where each split has its own list of them."""

    looked_for: str
    find: Callable[[Path], dict[str, Path]]
    read: Callable[[Path, Ask], Data]
    classes: Callable[[Path], tuple[str, ...]] | None = None


FORMATS = (
    Format(looked_for=coco.LOOKED_FOR, find=coco.find, read=coco.read, classes=coco.classes),
    Format(looked_for=yolo.LOOKED_FOR, find=yolo.find, read=yolo.read),
    Format(looked_for=voc.LOOKED_FOR, find=voc.find, read=voc.read),
    Format(looked_for=odgt.LOOKED_FOR, find=odgt.find, read=odgt.read),
    Format(looked_for=wider_face.LOOKED_FOR, find=wider_face.find, read=wider_face.read),
    Format(looked_for=kitti.LOOKED_FOR, find=kitti.find, read=kitti.read),
    Format(looked_for=visdrone.LOOKED_FOR, find=visdrone.find, read=visdrone.read),
    Format(looked_for=labelme.LOOKED_FOR, find=labelme.find, read=labelme.read),
    Format(looked_for=hugging_face.LOOKED_FOR, find=hugging_face.find, read=hugging_face.read),
    Format(looked_for=npz.LOOKED_FOR, find=npz.find, read=npz.read, classes=npz.classes),
    Format(looked_for=table.LOOKED_FOR, find=table.find, read=table.read),
    Format(looked_for="", find=yolo.find_classes, read=yolo.read),
)


def format_of(path: Path) -> tuple[Format, dict[str, Path]] | None:
    """The first form that the path holds, and its splits."""
    for form in FORMATS:
        found = form.find(path)
        if found:
            return form, found
    return None
