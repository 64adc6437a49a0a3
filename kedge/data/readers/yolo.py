"""YOLO folders: data.yaml, images/, labels/*.txt with one normalised box per line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kedge.data.checks import Problems, RawBoxes, RawImage, check, check_images, inside
from kedge.data.images import SUFFIXES
from kedge.data.records import Data, OnBadBox

LOOKED_FOR = "YOLO: data.yaml (or one *.yaml) with names, train and val; images/ and labels/*.txt"
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a YOLO set keeps things: class names and, per split, what the yaml says."""

    file: Path
    root: Path
    classes: tuple[str, ...]
    places: dict[str, list[str]]
    keypoints: bool


@dataclass(slots=True)
class _Row:
    image: int
    label: int
    box: tuple[float, float, float, float]  # normalised xyxy
    where: str


def find(folder: Path) -> Path | None:
    """The yaml of a YOLO folder: data.yaml, dataset.yaml or the only yaml; or None."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return folder / name
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return files[0] if len(files) == 1 and (folder / "images").is_dir() else None


def splits(file: Path) -> tuple[str, ...]:
    """The splits that a yaml names."""
    return tuple(_layout(file).places)


def read_yaml(file: Path, *, split: str, on_bad_box: OnBadBox = "error") -> Data:
    """Read one split of a YOLO set.

    An image's labels lie where "images" in its path is replaced by "labels", or beside it; an
    image without label file is empty. A line is `class cx cy w h`, each of the four divided by
    the image's width or height, for which every image is looked at; a line with a polygon
    (segmentation) gives the box around it.
    Raises ValueError as `kedge.data.read` says.
    """
    layout = _layout(file)
    problems = Problems(f"{file} ({split})", on_bad_box)
    images = [
        RawImage(name=str(path.relative_to(layout.root)), file=path, image_id=number)
        for number, path in enumerate(_image_files(layout, split, problems))
    ]
    if problems.fatal:
        problems.stop()
    images = [i for i, sound in zip(images, check_images(images, problems)) if sound]
    rows, found = [], 0
    for index, image in enumerate(images):
        labels = _label_file(layout.root, image, problems)
        if labels is not None:
            found += 1
            rows += _lines(labels, index, image.name, layout, problems)
    if problems.fatal:
        problems.stop()
    if images and not found:
        raise ValueError(
            f"{file}: none of the {len(images)} images of split {split!r} has a label file; "
            f'looked beside {images[0].file} and with "labels" in place of "images"'
        )
    records = check(images, _boxes(rows, images), problems, look_at_files=False)
    problems.stop()
    return Data(
        source=str(file),
        format="YOLO",
        split=split,
        splits=tuple(layout.places),
        classes=layout.classes,
        category_ids=tuple(range(len(layout.classes))),
        records=records,
        findings=problems.findings,
    )


def _layout(file: Path) -> _Layout:
    try:
        said = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ValueError(f"{file}: is not YAML: {problem}") from problem
    if not isinstance(said, dict):
        raise ValueError(f"{file}: must hold names, train and val; it holds {said!r}")
    root = file.parent.resolve()
    if said.get("path"):
        root = _root(file, str(said["path"]))
    places = {}
    for name in _SPLITS:
        value = said.get(name) or (said.get("valid") if name == "val" else None)
        if value:
            places[name] = [str(v) for v in value] if isinstance(value, list) else [str(value)]
    if not places:
        raise ValueError(f"{file}: names no split: write train: images/train (and val, test)")
    return _Layout(file, root, _names(file, said), places, "kpt_shape" in said)


def _root(file: Path, path: str) -> Path:
    """`path:` of the yaml, which may name the yaml's own folder in several ways, or one below."""
    folder = file.parent.resolve()
    for base in (folder, Path.cwd()):
        place = (base / path).resolve()
        if place.is_dir() and place.is_relative_to(folder):
            return place
    if Path(path).name == folder.name:  # "../datasets/coco8" written for another machine
        return folder
    raise ValueError(
        f"{file}: path: {path} is not inside the yaml's own folder {folder}: move the yaml into "
        "the data folder and remove the line (no path may leave the data folder)"
    )


def _names(file: Path, said: dict[str, Any]) -> tuple[str, ...]:
    names = said.get("names")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError(f"{file}: names must be numbered 0 to {len(names) - 1} without gaps")
        names = [names[i] for i in range(len(names))]
    if names is None and isinstance(said.get("nc"), int):
        names = [f"class {i}" for i in range(said["nc"])]
    if not isinstance(names, list) or not names:
        raise ValueError(f"{file}: needs names: a list of class names")
    if isinstance(said.get("nc"), int) and said["nc"] != len(names):
        raise ValueError(f"{file}: nc is {said['nc']} but names has {len(names)}: correct one")
    return tuple(str(name) for name in names)


def _image_files(layout: _Layout, split: str, problems: Problems) -> list[Path]:
    files: list[Path] = []
    for said in layout.places[split]:
        place = _inside(layout.root, layout.root, said)
        if place is None:
            message = (
                f"{split}: {said} leaves the data folder {layout.root}: move the images into it"
            )
            problems.refuse("path outside the folder", layout.file.name, split, message)
        elif place.is_dir():
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
            files += [p for p in found if _inside_or_refuse(layout.root, p, problems)]
        elif place.is_file():
            files += _listed(place, layout.root, problems)
        else:
            raise ValueError(f"{layout.file}: {split}: {said} does not exist (looked for {place})")
    if not files and not problems.fatal:
        raise ValueError(f"{layout.file}: split {split!r} has no images in {layout.places[split]}")
    return files


def _inside(root: Path, base: Path, name: str) -> Path | None:
    """As `inside`; "../train/images" beside the yaml, as some exports write, is "train/images"."""
    path = inside(root, base, name)
    if path is None or not path.exists():
        bare = name
        while bare.startswith("../"):
            bare = bare[3:]
        if bare != name and (mended := inside(root, base, bare)) is not None and mended.exists():
            return mended
    return path


def _inside_or_refuse(root: Path, path: Path, problems: Problems) -> bool:
    if inside(root, path.parent, path.name) is not None:
        return True
    message = f"a symbolic link leaves the data folder {root}: copy the file into it"
    problems.refuse("path outside the folder", str(path.relative_to(root)), "", message)
    return False


def _listed(file: Path, root: Path, problems: Problems) -> list[Path]:
    """The images that a text file lists, relative to the data folder or to the list."""
    files = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        name, where = line.strip(), f"line {number} of {file.name}"
        if not name:
            continue
        paths = [inside(root, base, name) for base in (root, file.parent)]
        existing = [path for path in paths if path is not None and path.is_file()]
        if existing:
            files.append(existing[0])
        elif None in paths:
            message = f"the path leaves the data folder {root}: move the file into the folder"
            problems.refuse("path outside the folder", name, where, message)
        else:
            problems.add("missing image", name, where, f"no such file: looked for {paths[0]}")
    return files


def _label_file(root: Path, image: RawImage, problems: Problems) -> Path | None:
    assert image.file is not None
    parts = list(image.file.relative_to(root).parts)
    places = [image.file.with_suffix(".txt")]
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            swapped = root.joinpath(*parts[:i], "labels", *parts[i + 1 :])
            places.insert(0, swapped.with_suffix(".txt"))
            break
    for place in places:
        if place.is_file():
            return place if _inside_or_refuse(root, place, problems) else None
    return None


def _lines(file: Path, index: int, image: str, layout: _Layout, problems: Problems) -> list[_Row]:
    rows = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        words = line.split()
        where = f"line {number} of {file.name}"
        if not words:
            continue
        try:
            values = [float(word) for word in words]
            label = int(values[0])
        except (ValueError, OverflowError):
            problems.add("no box", image, where, f"{line!r} is not numbers: class cx cy w h")
            continue
        if label != values[0] or not 0 <= label < len(layout.classes):
            message = f"class {words[0]}; the yaml names classes 0 to {len(layout.classes) - 1}"
            problems.add("unknown category", image, where, message)
            continue
        box = _box(values[1:], layout.keypoints)
        if box is None:
            message = f"{len(words)} numbers; expected class cx cy w h, or class and a polygon"
            problems.add("no box", image, where, message)
            continue
        rows.append(_Row(index, label, box, where))
    return rows


def _box(values: list[float], keypoints: bool) -> tuple[float, float, float, float] | None:
    """Normalised corners of `cx cy w h`, or of the box around a polygon."""
    if len(values) == 4 or (keypoints and len(values) > 4):
        cx, cy, w, h = values[:4]
        return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        return min(xs), min(ys), max(xs), max(ys)
    return None


def _boxes(rows: list[_Row], images: list[RawImage]) -> RawBoxes:
    """Rows in pixels."""
    image = np.array([row.image for row in rows], np.int64)
    sizes = np.array([(i.width, i.height) for i in images], np.float64).reshape(-1, 2)
    corners = np.array([row.box for row in rows], np.float64).reshape(-1, 4)
    return RawBoxes(
        image=image,
        xyxy=corners * np.tile(sizes[image], 2),
        label=np.array([row.label for row in rows], np.int64),
        crowd=np.zeros(len(rows), bool),
        where=lambda row: rows[row].where,
    )
