"""`read(path)`: finds out which format a path holds and reads it."""

from pathlib import Path

from kedge.data import toy
from kedge.data.class_lists import compare_splits
from kedge.data.formats import FORMATS, Format, format_of
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.records import Data, OnBadBox
from kedge.data.split_names import short
from kedge.parse import shown


def read(
    path: str | Path,
    split: str | None = None,
    on_bad_box: OnBadBox = "error",
    *,
    check_images: bool = True,
    root: str | Path | None = None,
    extremes: bool = False,
) -> Data:
    """Read a data set, or one split of it, and check every box and image file.

    `path`: "toy" (drawn by code), or a folder or a file in one of the forms of
    `kedge.data.formats`: COCO JSON, YOLO (data.yaml, obj.data, classes.txt), Pascal VOC, tables
    (.csv, .parquet), KITTI, VisDrone, WIDER FACE, LabelMe, CrowdHuman, Hugging Face's
    metadata.jsonl, an .npz of boxes without images. `split`: one of the folder's; None is its only
    split, or "train" where there are several. `root`: the data folder, where it is not the one that
    the annotations lie in.

    `on_bad_box`: "error" raises, "drop" leaves bad boxes and images out, "clip" repairs what
    can be repaired (boxes outside the image, flipped corners) and drops the rest; `findings`
    and `summary()` say what was done, what was seen and not used, and what is odd about the
    classes. `check_images=False` does not look at the image files, which saves about 0.3 ms an
    image, unless the annotations leave out a size (YOLO, KITTI and others). `extremes`: polygons of
    COCO JSON, LabelMe and YOLO give extreme points too (`kedge.data.extremes`); masks (RLE) have
    none.

    Raises ValueError, which names the file: for a path that holds no known format, saying what was
    looked for; for a damaged file; for bad boxes, naming the first few and the count; where nothing
    is left; and always for a file name that leads out of the data folder (symbolic links resolved).
    """
    if str(path) == "toy" and root is not None:
        raise ValueError(f"root {root}: toy is drawn by code and lies in no folder: leave it out")
    if str(path) == "toy":
        return toy.data(split or "train")
    Problems(path, on_bad_box)  # the mode first: nothing is read for one that does not exist
    try:
        return _read(Path(path), split, on_bad_box, check_images, root, extremes)
    except ValueError as problem:
        lines = str(problem).split("\n")
        raise ValueError("\n".join(shown(line) for line in lines)) from problem
    except OSError as problem:
        raise ValueError(shown(f"{path}: cannot be read ({problem})")) from problem


def splits_of(path: str | Path) -> tuple[str, ...]:
    """The splits that a path has; () for a set without any, and for a path that cannot be read."""
    if str(path) == "toy":
        return tuple(toy.IMAGES)
    try:
        known = format_of(Path(path)) if Path(path).exists() else None
    except (ValueError, OSError):
        return ()
    return () if known is None else tuple(name for name in known[1] if name)


def _read(
    path: Path,
    split: str | None,
    on_bad_box: OnBadBox,
    check_images: bool,
    root: str | Path | None,
    extremes: bool,
) -> Data:
    if not path.exists():
        raise ValueError(f'{path}: does not exist (data is a file, a folder, or "toy")')
    known = format_of(path)
    if known is None:
        raise ValueError(_unknown(path))
    form, places = known
    splits = tuple(name for name in places if name)
    chosen = _choose(path, split, splits)
    place = places[chosen or ""]
    folder = Path(root) if root is not None else _root(path, place)
    if not folder.is_dir():
        raise ValueError(f"{folder}: the root must be a folder that exists")
    ask = Ask(
        path=path,
        root=folder,
        split=chosen,
        splits=splits,
        on_bad_box=on_bad_box,
        check_images=check_images,
        rooted=root is not None,
        extremes=extremes,
    )
    data = form.read(place, ask)
    _compare(data, form, places)
    return data


def _root(path: Path, place: Path) -> Path:
    """The data folder: the one that was named, or the one in which the file lies (the one above,
    where it lies in annotations/)."""
    if path.is_dir():
        return path if place.is_relative_to(path) else place
    above = path.parent
    return above.parent if above.name.lower() in ("annotations", "wider_face_split") else above


def _compare(data: Data, form: Format, places: dict[str, Path]) -> None:
    if form.classes is None:
        return
    of = form.classes
    others = {name: place for name, place in places.items() if name}
    compare_splits(data, {name: lambda place=place: of(place) for name, place in others.items()})


def _choose(path: Path, split: str | None, available: tuple[str, ...]) -> str | None:
    """The split meant; None only where a set has no splits and none was asked for."""
    wanted = short(split) if split is not None else None
    if wanted in available:
        return wanted
    if wanted is None and len(available) <= 1:
        return available[0] if available else None
    if wanted is None and "train" in available:
        return "train"
    if not available:
        what = "is a single file without" if path.is_file() else "has no"
        raise ValueError(f"{path}: {what} splits: leave out split={split!r}")
    have = ", ".join(available)
    if split is None:
        raise ValueError(f"{path}: has several splits and none called train: choose one of: {have}")
    raise ValueError(f"{path}: has no split {split!r}: choose one of: {have}")


def _unknown(path: Path) -> str:
    forms = "; ".join(form.looked_for for form in FORMATS if form.looked_for)
    looked_for = f'Looked for: {forms}; or the word "toy".'
    if not path.is_dir():
        return f"{path}: is no data set that can be read. {looked_for}"
    seen = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
    return f"{path}: holds no data set that can be read (it holds {seen}). {looked_for}"
