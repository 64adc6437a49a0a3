"""Which files of a folder are COCO JSON, and which split each is."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from kedge.data.split_names import SPLITS, short, split_in
from kedge.parse import read_utf8

_NAMES = (*SPLITS, "trainval", "minival")
Name = Callable[[Path], str | None]
_MOST = 50  # a folder of more JSON files has one an image: another form


class _Shape(msgspec.Struct):
    """What every COCO file has."""

    images: list[msgspec.Raw]
    categories: msgspec.Raw = msgspec.Raw(b"")
    annotations: msgspec.Raw = msgspec.Raw(b"")
    annotation: msgspec.Raw = msgspec.Raw(b"")


def find(path: Path) -> dict[str, Path]:
    """The COCO files of a folder, by split ("instances_train2017.json" is "train"); a single file
    as {"": file}; {} where there is none.

    Files of the usual names come first; without any, JSON files of any name that have the shape.
    Raises ValueError naming both files where two say the same split.
    """
    if not path.is_dir():
        return {"": path} if path.suffix.lower() == ".json" else {}
    places = _once([path, path / "annotations", path / "Annotations"])
    every = [file for place in places for file in sorted(place.glob("*.json"))]
    every = [file for file in every if not file.is_dir()]
    files = [file for file in every if _split_name(file) is not None]
    files += sorted(path.glob("*/_annotations.coco.json"))
    if not files:
        return _of_any_name(path, every)
    return _alone(path, files, _split_name, lambda file: _split_name(file, years=True))


def _of_any_name(path: Path, files: list[Path]) -> dict[str, Path]:
    shaped = [file for file in files if has_shape(file)] if len(files) <= _MOST else []
    if len(shaped) == 1 and split_in(shaped[0].stem) is None:
        return {"": shaped[0]}
    return _alone(
        path, shaped, lambda file: split_in(file.stem) or file.stem, lambda file: file.stem
    )


def _alone(path: Path, files: list[Path], name: Name, longer: Name) -> dict[str, Path]:
    """The file of each split; where two have one name all have their `longer` names (the years of
    COCO, the files' own)."""
    named = _by(name, files)
    if any(len(same) > 1 for same in named.values()):
        named = _by(longer, files)
    for split, same in named.items():
        if len(same) > 1:
            one, other = (file.relative_to(path) for file in same[:2])
            raise ValueError(
                f"{path}: split {split!r} is both {one} and {other}: move one away, or name the "
                "file that is meant"
            )
    return {split: same[0] for split, same in named.items()}


def _by(name: Name, files: list[Path]) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for file in files:
        named.setdefault(str(name(file)), []).append(file)
    return {split: _once(same) for split, same in named.items()}


def _once(paths: list[Path]) -> list[Path]:
    """Every place on the disk once, by its first name: links, and folders that differ in case where
    the disk does not tell it, are other names of one."""
    found: dict[object, Path] = {}
    for path in paths:
        try:
            known = path.stat()
        except OSError:  # it is not there, or a link that leads nowhere
            found[path] = path
        else:
            found.setdefault((known.st_dev, known.st_ino), path)
    return list(found.values())


def has_shape(file: Path) -> bool:
    """Whether a JSON file has images, and categories or annotations."""
    try:
        found = msgspec.json.decode(read_utf8(file), type=_Shape)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return any(bytes(part) for part in (found.categories, found.annotations, found.annotation))


def _split_name(file: Path, years: bool = False) -> str | None:
    if file.name == "_annotations.coco.json":
        stem = file.parent.name
    else:
        stem = file.stem
        if stem.startswith("instances_"):
            stem = stem.removeprefix("instances_")
        elif re.sub(r"\d{4}$", "", stem) not in _NAMES:
            return None
    if not years:
        stem = re.sub(r"\d{4}$", "", stem)
    return short(stem)
