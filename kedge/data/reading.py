"""`read(path)`: finds out which format a path holds and reads it."""

from dataclasses import replace
from pathlib import Path

from kedge.data import toy
from kedge.data.readers import coco, npz, voc, yolo
from kedge.data.records import Data, OnBadBox

_ALIASES = {"valid": "val", "validation": "val"}


def read(
    path: str | Path,
    split: str | None = None,
    on_bad_box: OnBadBox = "error",
    *,
    check_images: bool = True,
) -> Data:
    """Read a data set, or one split of it, and check every box and image file.

    `path`: "toy" (drawn by code); a COCO JSON file, or a folder with train.json, val.json,
    instances_*.json, annotations/*.json; a Pascal VOC folder; a YOLO folder or its yaml; an
    .npz of boxes without images, or a folder of such files, each a split. `split`: one of the
    folder's; None is its only split, or "train" where there are several.

    `on_bad_box`: "error" raises, "drop" leaves bad boxes and images out, "clip" repairs what
    can be repaired (boxes outside the image, flipped corners) and drops the rest; `findings`
    and `summary()` say what was done. `check_images=False` does not look at the image files,
    which saves about 0.3 ms an image (YOLO needs their sizes and always looks).

    Raises ValueError: for a path that holds no known format, saying what was looked for; for
    bad boxes, naming the first few and the count; and always for a file name that leads out of
    the data folder (symbolic links resolved).
    """
    if str(path) == "toy":
        return toy.data(split or "train")
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, split, on_bad_box, check_images)
    if not path.exists():
        raise ValueError(f'{path}: does not exist (data is a file, a folder, or "toy")')
    if path.suffix in (".yaml", ".yml"):
        chosen = _choose(path, split, yolo.splits(path))
        assert chosen is not None
        return yolo.read_yaml(path, split=chosen, on_bad_box=on_bad_box)
    if split is not None:
        raise ValueError(f"{path}: is a single file without splits: leave out split={split!r}")
    if path.suffix == ".json":
        return coco.read_file(path, on_bad_box=on_bad_box, check_images=check_images)
    if path.suffix == ".npz":
        return npz.boxes_npz(path, on_bad_box)
    raise ValueError(f"{path}: is no data set that can be read. {_looked_for()}")


def _read_folder(folder: Path, split: str | None, on_bad_box: OnBadBox, check_images: bool) -> Data:
    files = coco.find(folder)
    if files:
        chosen = _choose(folder, split, tuple(files))
        assert chosen is not None
        return coco.read_file(
            files[chosen],
            root=folder,
            split=chosen,
            splits=tuple(files),
            on_bad_box=on_bad_box,
            check_images=check_images,
        )
    page = yolo.find(folder)
    if page is not None:
        return read(page, split, on_bad_box, check_images=check_images)
    place = voc.find(folder)
    if place is not None:
        chosen = _choose(folder, split, voc.splits(place))
        return voc.read_folder(
            place, split=chosen, on_bad_box=on_bad_box, check_images=check_images
        )
    tables = npz.find(folder)
    if tables:
        chosen = _choose(folder, split, tuple(tables))
        assert chosen is not None
        data = npz.boxes_npz(tables[chosen], on_bad_box)
        return replace(data, split=chosen, splits=tuple(tables))
    seen = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
    raise ValueError(
        f"{folder}: holds no data set that can be read (it holds {seen}). {_looked_for()}"
    )


def _choose(path: Path, split: str | None, available: tuple[str, ...]) -> str | None:
    """The split meant; None only where a set has no splits and none was asked for."""
    wanted = _ALIASES.get(split, split) if split is not None else None
    if wanted in available:
        return wanted
    if wanted is None and len(available) <= 1:
        return available[0] if available else None
    if wanted is None and "train" in available:
        return "train"
    have = ", ".join(available) or "none"
    raise ValueError(f"{path}: has no split {split!r}: choose one of: {have}")


def _looked_for() -> str:
    formats = (coco.LOOKED_FOR, voc.LOOKED_FOR, yolo.LOOKED_FOR, npz.LOOKED_FOR)
    return "Looked for: " + "; ".join(formats) + '; or the word "toy".'
