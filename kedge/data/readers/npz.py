"""Boxes without images, from an .npz file: enough to design anchors and to measure assigners."""

from pathlib import Path

import numpy as np

from kedge.counted import count
from kedge.data.checks import finish
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage
from kedge.data.records import Data, OnBadBox
from kedge.parse import names_in_npz, read_npz
from kedge.parse.boxes_table import are_boxes

_PER_BOX = ("image_id", "x", "y", "w", "h", "category_id")
LOOKED_FOR = f"an .npz of boxes with {', '.join(_PER_BOX)}, category_names and images (id, w, h)"


def boxes_npz(path: str | Path, on_bad_box: OnBadBox = "error") -> Data:
    """Read boxes without images.

    The file holds one row per box in `image_id`, `x`, `y`, `w`, `h` (pixels, top left corner)
    and `category_id` (0-based into `category_names`), and `images` (n, 3): id, width, height of
    every image, those without boxes too. An optional `iscrowd` marks crowd boxes. Records have
    no file. Raises ValueError naming file and row; `on_bad_box` as in `kedge.data.read`.
    """
    path = Path(path)
    return read(path, Ask(path=path, root=path.parent, on_bad_box=on_bad_box))


def read(path: Path, ask: Ask) -> Data:
    """As `boxes_npz`."""
    problems = Problems(path, ask.on_bad_box)
    table = _load(path)
    images, order = [], {}
    bad = ~(np.isfinite(table["images"]) & (np.abs(table["images"]) < 2**53)).all(axis=1)
    bad |= (table["images"][:, 1:] < 0).any(axis=1)
    for row in np.flatnonzero(bad):
        message = f"id, width and height are {table['images'][row].tolist()}"
        problems.add("unreadable record", "", f"row {row} of images", message)
    table["images"] = table["images"][~bad].astype(np.int64)
    for number, (image_id, width, height) in enumerate(table["images"].tolist()):
        if image_id in order:
            message = f"image id {image_id} is used twice: give every image its own id"
            problems.add("duplicate image id", f"image {image_id}", f"row {number}", message)
            continue
        order[image_id] = len(images)
        images.append(
            RawImage(
                name=f"image {image_id}", file=None, image_id=image_id, width=width, height=height
            )
        )
    boxes = _boxes(table, order, problems)
    names = tuple(str(name) for name in table["category_names"])
    return finish(
        images,
        boxes,
        problems,
        ask,
        format="boxes without images",
        classes=names,
        said=len(images) + int(bad.sum()),
    )


def classes(path: Path) -> tuple[str, ...]:
    """The names of the classes alone."""
    table = read_npz(path, ["category_names"])
    return tuple(str(name) for name in table.get("category_names", ()))


def find(path: Path) -> dict[str, Path]:
    """The .npz files of a folder that hold boxes, by stem: they are its splits; a single file as
    {"": file}."""
    if not path.is_dir():
        return {"": path} if path.suffix.lower() == ".npz" else {}
    return {file.stem: file for file in sorted(path.glob("*.npz")) if _holds_boxes(file)}


def _holds_boxes(file: Path) -> bool:
    """Also of a damaged file, which is named where it is read."""
    try:
        return are_boxes(names_in_npz(file))
    except ValueError:
        return True


def _load(path: Path) -> dict[str, np.ndarray]:
    table = read_npz(path, {*_PER_BOX, "category_names", "images", "iscrowd"})
    missing = [key for key in (*_PER_BOX, "category_names", "images") if key not in table]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; expected {LOOKED_FOR}")
    for key, column in table.items():
        kinds = "biuf" if key == "iscrowd" else "iuf"  # True is no width of one pixel
        if key != "category_names" and column.dtype.kind not in kinds:
            raise ValueError(f"{path}: {key} holds {column.dtype}: expected numbers")
    flat = [key for key in table if key != "images"]
    if any(table[key].ndim != 1 for key in flat) or table["images"].ndim != 2:
        shapes = {key: column.shape for key, column in table.items()}
        raise ValueError(f"{path}: expected columns, and images (n, 3); the shapes are {shapes}")
    lengths = {key: len(table[key]) for key in (*_PER_BOX, "iscrowd") if key in table}
    if len(set(lengths.values())) > 1 or table["images"].shape[1:] != (3,):
        raise ValueError(f"{path}: columns of different length: {lengths}; images must be (n, 3)")
    return table


def _boxes(table: dict[str, np.ndarray], order: dict[int, int], problems: Problems) -> RawBoxes:
    image_id, category = _whole(table["image_id"]), _whole(table["category_id"])
    image = np.array([order.get(i, -1) for i in image_id.tolist()], np.int64)
    known = (category >= 0) & (category < len(table["category_names"]))
    for row in np.flatnonzero(image < 0):
        message = f"there is no image with id {image_id[row]}: remove it"
        problems.add("unknown image", f"image {image_id[row]}", f"row {row}", message)
    for row in np.flatnonzero((image >= 0) & ~known):
        names = count(len(table["category_names"]), "name")
        message = f"category {category[row]} of {names}"
        problems.add("unknown category", f"image {image_id[row]}", f"row {row}", message)
    rows = np.flatnonzero((image >= 0) & known)
    x, y, w, h = (table[key][rows].astype(np.float64) for key in ("x", "y", "w", "h"))
    with np.errstate(invalid="ignore", over="ignore"):
        xyxy = np.stack([x, y, x + w, y + h], axis=1)
    crowd = table.get("iscrowd", np.zeros(len(image_id), bool))
    return RawBoxes(
        image=image[rows],
        xyxy=xyxy,
        label=category[rows],
        crowd=crowd[rows].astype(bool),
        where=lambda row: f"row {rows[row]}",
    )


def _whole(column: np.ndarray) -> np.ndarray:
    """Whole numbers as int64; what is none, or does not fit, as -(2**62): no id of anything."""
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(column) & (np.abs(column.astype(np.float64)) < 2**62)
        sound &= column == np.floor(column)
        return np.where(sound, column, 0).astype(np.int64) - np.where(sound, 0, 2**62)
