"""KITTI: label_2/*.txt with a row an object, image_2/."""

from pathlib import Path

from kedge.counted import count
from kedge.data.leftovers import other_endings
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, finish_named, images_with_rows, numbers_of
from kedge.data.records import Data

LOOKED_FOR = "KITTI: label_2/*.txt with image_2/ (or training/ with both)"
_IGNORED = "DontCare"


def find(path: Path) -> dict[str, Path]:
    """{"": the folder with label_2}, or {}."""
    places = [path, path / "training", path / "object" / "training"] if path.is_dir() else []
    return next(({"": place} for place in places if (place / "label_2").is_dir()), {})


def read(folder: Path, ask: Ask) -> Data:
    """Read a KITTI folder: class, truncated, occluded, alpha, left, top, right, bottom, and more
    that is not used. Regions called DontCare become crowds of the first class."""
    problems = Problems(folder, ask.on_bad_box)
    images = []
    for image, rows in images_with_rows(folder / "label_2", problems):
        for line, where in rows:
            words = line.split()
            box = numbers_of(words[4:8], 4)
            if box is None or len(words) not in (8, 15, 16):
                message = (
                    count(len(words), "word")
                    + "; expected a class and 14 numbers, the box the 5th on"
                )
                problems.add("no box", image.name, where, message)
                continue
            x1, y1, x2, y2 = box
            image.boxes.append(NamedBox((x1, y1, x2, y2), words[0], where, words[0] == _IGNORED))
        images.append(image)
    names = sorted({box.label for image in images for box in image.boxes} - {_IGNORED})
    classes = names or [_IGNORED]
    ignored = 0
    for image in images:
        for i, box in enumerate(image.boxes):
            if box.label == _IGNORED and names:
                image.boxes[i] = NamedBox(box.xyxy, classes[0], box.where, True)
                ignored += 1
    if ignored:
        message = f"{_IGNORED}: read as crowd regions, neither object nor background"
        problems.note("ignored annotation", "", "", message, count=ignored)
    bases = [folder / "image_2", folder / "images", folder]
    other_endings(sorted(bases[0].rglob("*")), folder, problems)
    return finish_named(images, bases, problems, ask, format="KITTI", classes=classes)
