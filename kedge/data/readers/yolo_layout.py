"""Where a YOLO set keeps things: said by a data.yaml, by darknet's obj.data, or by classes.txt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.data.images import SUFFIXES
from kedge.data.names import inside, plain
from kedge.data.raw import Ask
from kedge.parse import read_lines, read_yaml, whole

SPLITS = ("train", "val", "test")
_MOST_CLASSES = 100_000
_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "labels/classes.txt", "train/classes.txt")


@dataclass(frozen=True, slots=True)
class Layout:
    """`file` says it, `root` is the data folder; per split the folders and lists of its images."""

    file: Path
    root: Path
    classes: tuple[str, ...]
    places: dict[str, list[str]]
    keypoints: bool = False


def of_yaml(file: Path, ask: Ask) -> Layout:
    """The layout that a data.yaml tells. Raises ValueError naming the file and what it lacks."""
    said, places = _said(file)
    root = _root(file, said.get("path"), ask)
    return Layout(file, root, _names(file, said), places, "kpt_shape" in said)


def splits_of_yaml(file: Path) -> tuple[str, ...]:
    """The splits that a data.yaml names."""
    return tuple(_said(file)[1])


def _said(file: Path) -> tuple[dict[Any, Any], dict[str, list[str]]]:
    said = read_yaml(file)
    if not isinstance(said, dict):
        raise ValueError(f"{file}: must hold names, train and val; it holds {said!r:.60}")
    places = {}
    for name in SPLITS:
        value = said.get(name) or (said.get("valid") if name == "val" else None)
        if not value:
            continue
        places[name] = value if isinstance(value, list) else [value]
        if not all(isinstance(place, str) for place in places[name]):
            raise ValueError(f"{file}: {name}: must be a path or a list of paths")
    if not places:
        raise ValueError(f"{file}: names no split: write train: images/train (and val, test)")
    return said, places


def _root(file: Path, path: Any, ask: Ask) -> Path:
    """`path:` of the yaml, which may name the yaml's own folder in several ways, or one below; or
    any folder inside the root that was given for it."""
    folder = file.parent.resolve()
    if path and not isinstance(path, str):
        raise ValueError(f"{file}: path: must be a folder, not {path!r:.60}")
    if ask.rooted:
        place = inside(ask.root, folder, path) if path else None
        return place if place is not None and place.is_dir() else ask.root.resolve()
    if not path:
        return folder
    for base in (folder, Path.cwd()):
        place = inside(folder, base, path)
        if place is not None and place.is_dir():
            return place
    if Path(path.replace("\\", "/")).name == folder.name:  # written for another machine
        return folder
    raise ValueError(
        f"{file}: path: {path} is not inside the yaml's own folder {folder}: no path may leave the "
        "data folder. Say that it may with root= (--root FOLDER), or move the yaml "
        "into the data folder and remove the line"
    )


def _names(file: Path, said: dict[Any, Any]) -> tuple[str, ...]:
    names, number = said.get("names"), whole(said.get("nc"))
    if isinstance(names, dict):
        numbered = {whole(key): name for key, name in names.items()}
        if set(numbered) != set(range(len(names))):
            raise ValueError(f"{file}: names must be numbered 0 to {len(names) - 1} without gaps")
        names = [numbered[i] for i in range(len(names))]
    if names is None and number is not None and 0 < number <= _MOST_CLASSES:
        names = [f"class {i}" for i in range(number)]
    if names is None and number is not None:
        raise ValueError(f"{file}: nc is {number}: expected 1 to {_MOST_CLASSES} classes")
    if not isinstance(names, list) or not names:
        raise ValueError(f"{file}: needs names: a list of class names")
    if number is not None and number != len(names):
        raise ValueError(f"{file}: nc is {number} but names has {len(names)}: correct one")
    for i, name in enumerate(names):
        if isinstance(name, (bool, list, dict)):
            raise ValueError(
                f"{file}: names: number {i} is read as {name!r:.40}: put the name in quotes"
            )
    return tuple("" if name is None else str(name) for name in names)


def of_darknet(file: Path) -> Layout:
    """The layout of a darknet .data file: `train`, `valid` and `names` are files it names."""
    said = {}
    for line in read_lines(file):
        key, mark, value = line.partition("=")
        if mark and not line.lstrip().startswith("#"):
            said[key.strip().lower()] = value.strip()
    root = file.parent.resolve()
    keys = {"train": "train", "valid": "val", "val": "val", "test": "test"}
    places = {split: [said[key]] for key, split in keys.items() if said.get(key)}
    if not places or not said.get("names"):
        raise ValueError(f"{file}: needs lines train = train.txt and names = obj.names")
    names = reduced(root, said["names"])
    if names is None or not names.is_file():
        raise ValueError(f"{file}: names = {said['names']}: there is no such file in {root}")
    classes = _listed_classes(names)
    number = whole(said.get("classes"))
    if number is not None and number != len(classes):
        raise ValueError(f"{file}: classes = {number}, but {names.name} lists {len(classes)}")
    return Layout(file, root, classes, places)


def of_classes(file: Path, folder: Path) -> Layout:
    """The layout of a folder with classes.txt: images/ and labels/, with or without folders of
    splits in either order, or images and their .txt side by side."""
    root = folder.resolve()
    found: dict[str, list[str]] = {}
    for split in ("train", "val", "valid", "test"):
        for place in (f"images/{split}", f"{split}/images", split):
            if (root / place).is_dir():
                found.setdefault("val" if split == "valid" else split, []).append(place)
                break
    if not found:
        found = {"": ["images" if (root / "images").is_dir() else "."]}
    return Layout(file, root, _listed_classes(file), found)


def classes_file(folder: Path) -> Path | None:
    """The list of class names of a YOLO folder without yaml, where images and labels are, too."""
    file = next((folder / name for name in _LISTS if (folder / name).is_file()), None)
    if file is None:
        return None
    places = [p for name in ("labels", "train/labels", ".", "train") for p in [folder / name]]
    rows = (p for place in places if place.is_dir() for p in place.rglob("*.[tT][xX][tT]"))
    images = any(p.suffix.lower() in SUFFIXES for p in folder.rglob("*"))
    return file if images and any(plain(p.name) != plain(file.name) for p in rows) else None


def _listed_classes(file: Path) -> tuple[str, ...]:
    names = [line.strip() for line in read_lines(file)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{file}: lists no classes: one name a line")
    return tuple(names)


def reduced(root: Path, name: str) -> Path | None:
    """What a path of another machine means here: the longest end of it that exists below `root`;
    a folder by two words of it at least. None where nothing does, or it would lead out."""
    written = name.replace("\\", "/")
    path = inside(root, root, written)
    if path is not None and path.exists():
        return path
    parts = [part for part in written.split("/") if part not in ("", ".", "..")]
    bare = len(parts) if written.startswith("../") else 0  # "../train/images" beside the yaml
    for start in range(len(parts)):
        path = inside(root, root, "/".join(parts[start:]))
        if path is None or not path.exists():
            continue
        if path.is_file() or len(parts) - start >= 2 or len(parts) == bare == 1:
            return path
    return None
