"""YOLO folders: images, and one .txt of normalised boxes for each of them."""

from pathlib import Path

import numpy as np

from kedge.data.checks import finish
from kedge.data.image_checks import check_images
from kedge.data.images import SUFFIXES
from kedge.data.leftovers import other_endings
from kedge.data.places import inside, locate, plain
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage
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
_NO_LABELS = ("classes.txt", "notes.txt", "readme.txt", "license.txt", "requirements.txt")


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
    labels = _Labels(layout, problems)
    rows: list[Row] = []
    kept = []
    for image, is_sound in zip(images, sound):
        labelled = labels.of(image)
        if is_sound:
            if labelled is not None:
                rows += rows_of(labelled, len(kept), image.name, problems)
            kept.append(image)
    if problems.fatal:
        problems.stop()
    if kept and not labels.used:
        raise ValueError(
            f"{file}: none of the {len(kept)} images of split {split!r} has a label file; "
            f'looked beside {kept[0].file} and with "labels" in place of "images"'
        )
    labels.say_unused(split)
    shares = boxes_of(rows, len(layout.classes), layout.keypoints, problems).pack()
    return finish(
        kept,
        _in_pixels(shares, kept),
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
            files += [p for p in found if _inside_or_refuse(layout.root, p, problems)]
            other_endings(every, layout.root, problems)
        else:
            files += _listed(place, layout.root, problems)
    if not files and not problems.fatal:
        problems.stop()
        lost = f" ({problems.findings[0]})" if problems.findings else ""
        places = layout.places[split]
        raise ValueError(f"{layout.file}: split {split!r} has no images in {places}{lost}")
    return list(dict.fromkeys(files))


def _inside_or_refuse(root: Path, path: Path, problems: Problems) -> bool:
    if inside(root, path.parent, path.name) is not None:
        return True
    message = f"a symbolic link leaves the data folder {root}: copy the file into it"
    problems.refuse("path outside the folder", str(path.relative_to(root)), "", message)
    return False


def _listed(file: Path, root: Path, problems: Problems) -> list[Path]:
    """The images that a text file lists, relative to the data folder or to the list."""
    lines = [(line.strip(), n) for n, line in enumerate(read_lines(file), start=1)]
    names = [(name, f"line {n} of {file.name}") for name, n in lines if name]
    return [path for path in locate(root, [root, file.parent], names, problems) if path is not None]


class _Labels:
    """The label files of a layout, and which of them images have used."""

    def __init__(self, layout: Layout, problems: Problems) -> None:
        self.layout, self.problems = layout, problems
        self.used: set[Path] = set()
        self._listings: dict[Path, dict[str, Path]] = {}

    def of(self, image: RawImage) -> Path | None:
        """The label file of an image: its ending in any case, its name in any Unicode form."""
        assert image.file is not None
        for place in (self._swapped(image.file), image.file):
            if place is None:
                continue
            wanted = place.with_suffix(".txt")
            file = wanted if wanted.is_file() else self._listed(place.parent).get(plain(place.stem))
            if file is not None:
                self.used.add(file)
                return file if _inside_or_refuse(self.layout.root, file, self.problems) else None
        return None

    def _swapped(self, path: Path) -> Path | None:
        """The path with the last folder "images" replaced by "labels"."""
        parts = list(path.relative_to(self.layout.root).parts)
        for i in range(len(parts) - 1, -1, -1):
            if parts[i] == "images" and (i < len(parts) - 1 or path.is_dir()):
                return self.layout.root.joinpath(*parts[:i], "labels", *parts[i + 1 :])
        return None

    def _listed(self, folder: Path) -> dict[str, Path]:
        """The label files of a folder by plain stem; those of which two are alike left out."""
        if folder not in self._listings:
            found: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix.lower() == ".txt" and path.is_file():
                    found.setdefault(plain(path.stem), []).append(path)
            self._listings[folder] = {k: v[0] for k, v in found.items() if len(v) == 1}
        return self._listings[folder]

    def say_unused(self, split: str) -> None:
        """Label files below the folders of this split that no image of it has."""
        unused: dict[Path, None] = {}
        for said in self.layout.places[split]:
            place = reduced(self.layout.root, said)
            if place is None or not place.is_dir():
                continue  # a list of images says nothing of the others
            for base in {self._swapped(place) or place, place}:
                files = (p for p in base.rglob("*") if p.suffix.lower() == ".txt")
                unused |= dict.fromkeys(p for p in sorted(files) if self._is_label(p))
        names = [str(p.relative_to(self.layout.root)) for p in unused if p not in self.used]
        self.problems.unused("label file without an image", names, "no image has the name of these")

    def _is_label(self, path: Path) -> bool:
        lists = {place.rsplit("/", 1)[-1] for said in self.layout.places.values() for place in said}
        if path == self.layout.file or path.name.lower() in _NO_LABELS or path.name in lists:
            return False
        return not path.name.lower().startswith(("readme", "license"))
