"""YOLO folders: images, and one .txt of normalised boxes for each of them."""

from pathlib import Path

import numpy as np

from kedge.counted import count
from kedge.data.checks import finish
from kedge.data.image_checks import check_images
from kedge.data.images import SUFFIXES
from kedge.data.leftovers import other_endings
from kedge.data.names import inside
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage
from kedge.data.readers.yolo_labels import Labels, inside_or_refuse
from kedge.data.readers.yolo_layout import (
    Layout,
    classes_file,
    of_classes,
    of_darknet,
    of_yaml,
    reduced,
    splits_of_yaml,
)
from kedge.data.readers.yolo_rows import Row, boxes_of, rows_of
from kedge.data.records import Data
from kedge.parse import read_lines

LOOKED_FOR = (
    "YOLO: data.yaml (or one *.yaml) with names, train and val, darknet's obj.data, or "
    "classes.txt; images/ and labels/*.txt"
)


def find(path: Path) -> dict[str, Path]:
    """The splits of a YOLO folder, of its yaml or of darknet's .data file, each with the file that
    tells of it; {} where there is none."""
    file = _file(path)
    if file is None:
        return {}
    is_yaml = file.suffix.lower() in (".yaml", ".yml")
    return dict.fromkeys(splits_of_yaml(file) if is_yaml else of_darknet(file).places, file)


def find_classes(path: Path) -> dict[str, Path]:
    """The same of a folder with classes.txt and neither; the split is "" where it has none."""
    file = classes_file(path) if path.is_dir() else None
    return {} if file is None else dict.fromkeys(of_classes(file, path).places, file)


def _file(path: Path) -> Path | None:
    if not path.is_dir():
        return path if path.suffix.lower() in (".yaml", ".yml", ".data") else None
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (path / name).is_file():
            return path / name
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if len(files) == 1 and any((path / p).is_dir() for p in ("images", "train", "labels")):
        return files[0]
    darknet = sorted(path.glob("*.data"))
    return darknet[0] if len(darknet) == 1 else None


def _layout(file: Path, ask: Ask) -> Layout:
    if file.suffix.lower() in (".yaml", ".yml"):
        return of_yaml(file, ask)
    return of_darknet(file) if file.suffix.lower() == ".data" else of_classes(file, ask.root)


def read(file: Path, ask: Ask) -> Data:
    """Read one split of a YOLO set.

    An image's labels lie where "images" in its path is replaced by "labels", or beside it; an
    image without label file is empty. A line is `class cx cy w h`, each of the four divided by
    the image's width or height, for which every image is looked at; a line with a polygon
    (segmentation) gives the box around it. Raises ValueError as `kedge.data.read` says.
    """
    layout = _layout(file, ask)
    split = ask.split or ""
    problems = Problems(f"{file} ({split})" if split else str(file), ask.on_bad_box)
    files = _image_files(layout, split, problems)
    images = [
        RawImage(name=str(path.relative_to(layout.root)), file=path, image_id=number)
        for number, path in enumerate(files)
    ]
    if problems.fatal:
        problems.stop()
    sound = check_images(images, problems)
    labels = Labels(layout, problems)
    rows: list[Row] = []
    kept, lost = [], 0
    for image, is_sound in zip(images, sound):
        labelled = labels.of(image)
        own = [] if labelled is None else rows_of(labelled, len(kept), image.name, problems)
        if is_sound:
            rows += own
            kept.append(image)
        else:
            lost += len(own)
    problems.lost_with_images(lost)
    if problems.fatal:
        problems.stop()
    if kept and not labels.used:
        raise ValueError(
            f"{file}: no label file for any of {count(len(kept), 'image')} of split {split!r}; "
            f'looked beside {kept[0].file} and with "labels" in place of "images"'
        )
    labels.say_unused(split)
    found = boxes_of(rows, len(layout.classes), layout.keypoints, problems, ask.extremes)
    return finish(
        kept,
        _in_pixels(found.pack(), kept),
        problems,
        ask,
        format="YOLO",
        classes=layout.classes,
        said=len(images),
        look_at_files=False,
    )


def _in_pixels(boxes: RawBoxes, images: list[RawImage]) -> RawBoxes:
    sizes = np.array([(i.width, i.height) for i in images], np.float64).reshape(-1, 2)
    with np.errstate(invalid="ignore", over="ignore"):
        boxes.xyxy *= np.tile(sizes[boxes.image], 2)
        if boxes.extremes is not None:
            boxes.extremes *= np.tile(sizes[boxes.image], 2)
    return boxes


def _image_files(layout: Layout, split: str, problems: Problems) -> list[Path]:
    files: list[Path] = []
    for said in layout.places[split]:
        place = reduced(layout.root, said)
        if place is None:
            if inside(layout.root, layout.root, said) is not None:
                where = inside(layout.root, layout.root, said)
                raise ValueError(
                    f"{layout.file}: {split}: {said} does not exist (looked for {where})"
                )
            message = (
                f"{split}: {said} leaves the data folder {layout.root}: move the images into it"
            )
            problems.refuse("path outside the folder", layout.file.name, split, message)
        elif place.is_dir():
            every = sorted(p for p in place.rglob("*"))
            found = [p for p in every if p.suffix.lower() in SUFFIXES and not p.is_dir()]
            files += [p for p in found if inside_or_refuse(layout.root, p, problems)]
            other_endings(every, layout.root, problems)
        else:
            files += _listed(place, layout.root, split, problems)
    if not files and not problems.fatal:
        problems.stop()
        lost = f" ({problems.findings[0]})" if problems.findings else ""
        places = layout.places[split]
        raise ValueError(f"{layout.file}: split {split!r} has no images in {places}{lost}")
    return list(dict.fromkeys(files))


def _listed(file: Path, root: Path, split: str, problems: Problems) -> list[Path]:
    """The images that a text file lists, relative to the data folder or to the list."""
    lines = [(line.strip(), n) for n, line in enumerate(read_lines(file), start=1)]
    names = [(name, f"line {n} of {file.name}") for name, n in lines if name]
    found = locate(root, [root, file.parent], names, problems, split=split)
    return [path for path in found if path is not None]
