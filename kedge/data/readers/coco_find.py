"""Which files of a folder are COCO JSON, and which split each is."""

import re
from pathlib import Path

import msgspec

from kedge.data.split_names import SPLITS, short, split_in
from kedge.parse import read_utf8

_NAMES = (*SPLITS, "trainval", "minival")
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
    """
    if not path.is_dir():
        return {"": path} if path.suffix.lower() == ".json" else {}
    places = (path, path / "annotations", path / "Annotations")
    every = [file for place in places for file in sorted(place.glob("*.json"))]
    every = [file for file in dict.fromkeys(every) if not file.is_dir()]
    files = [file for file in every if _split_name(file) is not None]
    files += sorted(path.glob("*/_annotations.coco.json"))
    if files:
        named = {str(_split_name(file)): file for file in files}
        if len(named) < len(files):  # two years of one split: keep the years
            named = {_split_name(file, years=True) or file.stem: file for file in files}
        return named
    return _of_any_name(every)


def _of_any_name(files: list[Path]) -> dict[str, Path]:
    shaped = [file for file in files if has_shape(file)] if len(files) <= _MOST else []
    if len(shaped) == 1 and split_in(shaped[0].stem) is None:
        return {"": shaped[0]}
    found: dict[str, Path] = {}
    for file in shaped:
        name = split_in(file.stem) or file.stem
        if name in found:  # two for one split: their own names tell them apart
            return {file.stem: file for file in shaped}
        found[name] = file
    return found


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
