"""Boxes without images, from an .npz file: enough to design anchors and to measure assigners."""

from pathlib import Path

import numpy as np

from kedge.data.checks import Problems, RawBoxes, RawImage, check
from kedge.data.records import Data, OnBadBox

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
    problems = Problems(path, on_bad_box)
    table = _load(path)
    images, order = [], {}
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
    records = check(images, boxes, problems)
    problems.stop()
    names = tuple(str(name) for name in table["category_names"])
    return Data(
        source=str(path),
        format="boxes without images",
        split=None,
        splits=(),
        classes=names,
        category_ids=tuple(range(len(names))),
        records=records,
        findings=problems.findings,
    )


def find(folder: Path) -> dict[str, Path]:
    """The .npz files of a folder, by stem: they are its splits."""
    return {file.stem: file for file in sorted(folder.glob("*.npz"))}


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            table = {key: file[key] for key in file.files}
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path}: cannot be read as .npz: {problem}") from problem
    missing = [key for key in (*_PER_BOX, "category_names", "images") if key not in table]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; expected {LOOKED_FOR}")
    lengths = {key: len(table[key]) for key in _PER_BOX}
    if len(set(lengths.values())) > 1 or table["images"].shape[1:] != (3,):
        raise ValueError(f"{path}: columns of different length: {lengths}; images must be (n, 3)")
    return table


def _boxes(table: dict[str, np.ndarray], order: dict[int, int], problems: Problems) -> RawBoxes:
    image_id, category = table["image_id"].astype(np.int64), table["category_id"].astype(np.int64)
    image = np.array([order.get(i, -1) for i in image_id.tolist()], np.int64)
    known = (category >= 0) & (category < len(table["category_names"]))
    for row in np.flatnonzero(image < 0):
        message = f"there is no image with id {image_id[row]}: remove it"
        problems.add("unknown image", f"image {image_id[row]}", f"row {row}", message)
    for row in np.flatnonzero((image >= 0) & ~known):
        message = f"category {category[row]}; there are {len(table['category_names'])} names"
        problems.add("unknown category", f"image {image_id[row]}", f"row {row}", message)
    rows = np.flatnonzero((image >= 0) & known)
    x, y, w, h = (table[key][rows].astype(np.float64) for key in ("x", "y", "w", "h"))
    with np.errstate(invalid="ignore"):
        xyxy = np.stack([x, y, x + w, y + h], axis=1)
    crowd = table.get("iscrowd", np.zeros(len(image_id), bool))
    return RawBoxes(
        image=image[rows],
        xyxy=xyxy,
        label=category[rows],
        crowd=crowd[rows].astype(bool),
        where=lambda row: f"row {rows[row]}",
    )
