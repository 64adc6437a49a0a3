"""Tables of boxes, whatever their columns are called: one row a box.

The names of TensorFlow and Roboflow (filename, class, xmin, ...), Open Images (ImageID, LabelName,
XMin in shares of the image, IsGroupOf), VoTT (image, label), keras-retinanet (no names at all) and
Kedge's own (image_id, x, y, w, h or x1, y1, x2, y2, width, height, category_id, iscrowd).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kedge.parse.numbers import flag, number
from kedge.parse.table_file import Column, Table, first_row, read_table

EXPECTED = (
    "x, y, w, h (or x1, y1, x2, y2, or xmin, ymin, xmax, ymax), width, height and image_id (or "
    "filename); optional category_id or class, iscrowd"
)
_KERAS_RETINANET = ("filename", "x1", "y1", "x2", "y2", "class")
# what a column may be called, in lower case, without "_", "-" and spaces; the first that is there
_NAMES = {
    "image": ("filename", "file", "imageid", "image", "imagename", "imagepath", "path", "img"),
    "x1": ("xmin", "x1", "left"),
    "y1": ("ymin", "y1", "top"),
    "x2": ("xmax", "x2", "right"),
    "y2": ("ymax", "y2", "bottom"),
    "x": ("x", "bboxx"),
    "y": ("y", "bboxy"),
    "w": ("w", "bboxwidth", "bboxw"),
    "h": ("h", "bboxheight", "bboxh"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "label": ("class", "label", "labelname", "classname", "category", "categoryname", "categoryid"),
    "crowd": ("iscrowd", "isgroupof", "ignore"),
}


KNOWN = frozenset(name for names in _NAMES.values() for name in names) | {
    "image_id",
    "category_id",
    "class_name",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class TableOfBoxes:
    """`xyxy` (n, 4) float64 pixels (shares of the image where `shares` and its size is not known),
    `size` (n, 2) float64 height and width (NaN: not said), `image` and `label` as the file says
    them (`label` is None where no column does), `crowd` (n,) bool; `blank` (n,) bool: a row that
    stands for an image without boxes. `line` (n,) is where each row stands in the file."""

    file: Path
    image: Column
    xyxy: np.ndarray
    size: np.ndarray
    label: Column | None
    crowd: np.ndarray
    blank: np.ndarray
    shares: bool
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.image)


def read_boxes_table(file: Path, sized: bool = False) -> TableOfBoxes:
    """Read a .csv, .jsonl or .parquet file. `sized`: the sizes of the images must be said. Raises
    `ValueError` naming file, row and column."""
    header = None
    if file.suffix.lower() in (".csv", ".tsv") and _has_no_header(first_row(file)):
        header = _KERAS_RETINANET
    return boxes_of(read_table(file, header), sized)


def are_boxes(names: Iterable[str]) -> bool:
    """Whether columns of these names are a table of boxes."""
    try:
        _recognised(Table(file=Path(), columns=dict.fromkeys(names, ()), line=()), ())
    except ValueError:
        return False
    return True


def boxes_of(table: Table, sized: bool = False) -> TableOfBoxes:
    """The boxes of a table; see `read_boxes_table`."""
    names = _recognised(table, ("width", "height") if sized else ())
    numbers = {
        key: table.numbers(name) for key, name in names.items() if key not in ("image", "label")
        and key != "crowd"
    }  # fmt: skip
    corners = "x1" in numbers
    keys = ("x1", "y1", "x2", "y2") if corners else ("x", "y", "w", "h")
    xyxy = np.stack([numbers[key] for key in keys], 1).astype(np.float64)
    blank = np.isnan(xyxy).all(axis=1) & _all_empty(table, [names[key] for key in keys])
    if not corners:
        with np.errstate(invalid="ignore", over="ignore"):
            xyxy[:, 2:] += xyxy[:, :2]
    unknown = np.full(len(table), np.nan)
    size = np.stack([numbers.get(key, unknown) for key in ("height", "width")], 1)
    shares = _are_shares(xyxy, size)
    if shares:
        known = np.isfinite(size).all(axis=1) & (size > 0).all(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            xyxy[known] *= np.tile(size[known][:, ::-1], 2)
    return TableOfBoxes(
        file=table.file,
        image=table.columns[names["image"]],
        xyxy=xyxy,
        size=size,
        label=table.columns[names["label"]] if "label" in names else None,
        crowd=_flags(table, names.get("crowd")),
        blank=blank,
        shares=shares,
        line=np.array(table.line, np.int64),
    )


def _has_no_header(row: list[str]) -> bool:
    """A first row of keras-retinanet: a path, four numbers or nothing, a class."""
    middle = row[1:5]
    return len(row) == 6 and all(number(cell) is not None or not cell for cell in middle)


def _recognised(table: Table, needed: tuple[str, ...]) -> dict[str, str]:
    """The names of the columns in use, by what they mean."""
    plain = {"".join(c for c in name.lower() if c not in "_- "): name for name in table.columns}
    found = {}
    for key, names in _NAMES.items():
        name = next((plain[name] for name in names if name in plain), None)
        if name is not None:
            found[key] = name
    if "w" not in found and {"imagewidth", "imageheight", "width", "height"} <= set(plain):
        found |= {"w": plain["width"], "h": plain["height"]}
        found |= {"width": plain["imagewidth"], "height": plain["imageheight"]}
    forms = [("x1", "y1", "x2", "y2"), ("x", "y", "w", "h")]
    best = min(forms, key=lambda form: sum(key not in found for key in form))
    missing = [key for key in (*best, *needed, "image") if key not in found]
    if missing:
        said = ", ".join("image_id" if key == "image" else key for key in missing)
        cure = ""
        if set(missing) <= {"width", "height"}:
            cure = " (or name the folder with its images: they know their sizes)"
        raise ValueError(f"{table.file}: lacks {said}{cure}; expected {EXPECTED}")
    for form in forms:
        if form != best:
            found = {key: name for key, name in found.items() if key not in form}
    return found


def _all_empty(table: Table, names: list[str]) -> np.ndarray:
    """Rows in which all these columns are empty."""
    empty = np.ones(len(table), bool)
    for name in names:
        values = table.columns[name]
        if isinstance(values, np.ndarray):
            return np.zeros(len(table), bool)
        empty &= np.array([value is None or value == "" for value in values], bool)
    return empty


def _are_shares(xyxy: np.ndarray, size: np.ndarray) -> bool:
    """Coordinates from 0 to 1 are shares of the image's sides: no box lies in the first pixel of
    an image in every row. Images of one pixel are left as they are."""
    finite = xyxy[np.isfinite(xyxy).all(axis=1)]
    known = size[np.isfinite(size)]
    if len(finite) == 0 or (len(known) and known.max() <= 1):
        return False
    return bool(finite.max() <= 1.0 + 1e-6 and finite.min() >= -0.5)


def _flags(table: Table, name: str | None) -> np.ndarray:
    if name is None:
        return np.zeros(len(table), bool)
    values = table.columns[name]
    if isinstance(values, np.ndarray) and values.dtype.kind in "biu" and (values <= 1).all():
        return values.astype(bool)
    found = [flag(value) for value in values]
    for row, value in enumerate(found):
        if value is None:
            raise ValueError(
                f"{table.file}: row {table.line[row]}, column {name}: "
                f"{table.columns[name][row]!r} is neither 0 nor 1"
            )
    return np.array(found, bool)
