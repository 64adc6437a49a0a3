"""Boxes of a data set as arrays, and where to read them from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kedge.design.sketch import Sketch
from kedge.parse import read_npz
from kedge.parse.boxes_table import EXPECTED, KNOWN, TableOfBoxes, boxes_of, read_boxes_table
from kedge.parse.table_file import Table

COLUMNS = EXPECTED
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxTable:
    """Boxes and the images they are in.

    ``xyxy`` (n, 4) float32 pixels, ``size`` (n, 2) float32 (H, W) of each box's image, ``image``
    (n,) int64 (any numbers that tell images apart), ``label`` (n,) int64 (-1: unknown). ``said``:
    what is to be said about how they were read. ``classes``: names by label, where they are known.
    """

    xyxy: np.ndarray
    size: np.ndarray
    image: np.ndarray
    label: np.ndarray
    said: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> "BoxTable":
        return BoxTable(
            xyxy=self.xyxy[index],
            size=self.size[index],
            image=self.image[index],
            label=self.label[index],
            said=self.said,
            classes=self.classes,
        )

    @property
    def wh(self) -> np.ndarray:
        """(n, 2) widths and heights."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    @property
    def centres(self) -> np.ndarray:
        """(n, 2) centres x, y."""
        return (self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2

    def sketch(self, by_class: bool = False) -> Sketch:
        """The statistics of the sizes."""
        return Sketch.of(self.wh, self.label if by_class else None)


def table_from_records(records: Iterable[Any], crowd: bool = False) -> BoxTable:
    """Boxes of records with ``boxes`` (n, 4) xyxy, ``labels``, ``width`` and ``height``
    (``kedge.data``).

    Crowd regions (``record.crowd``) are no objects and left out unless ``crowd``.
    """
    xyxy, size, image, label = [], [], [], []
    for i, record in enumerate(records):
        boxes = np.asarray(record.boxes, np.float32).reshape(-1, 4)
        labels = np.asarray(record.labels, np.int64)
        marked = getattr(record, "crowd", None)
        if marked is not None and not crowd:
            keep = ~np.asarray(marked, bool)
            boxes, labels = boxes[keep], labels[keep]
        xyxy.append(boxes)
        label.append(labels)
        size.append(np.full((len(boxes), 2), (record.height, record.width), np.float32))
        image.append(np.full(len(boxes), i, np.int64))
    if not xyxy:
        empty = np.empty(0, np.int64)
        none = np.empty((0, 4), np.float32)
        return BoxTable(xyxy=none, size=none[:, :2], image=empty, label=empty)
    return BoxTable(
        xyxy=np.concatenate(xyxy),
        size=np.concatenate(size),
        image=np.concatenate(image),
        label=np.concatenate(label),
    )


def read_table(path: str | Path, crowd: bool = False) -> BoxTable:
    """Boxes of an ``.npz``, ``.csv``, ``.parquet`` or ``.jsonl`` file, one row per box.

    An ``.npz`` whose ``category_id`` are numbers may name them: ``category_names``.
    Columns: x, y, w, h (top left corner; or x1, y1, x2, y2) in pixels or in shares of the image,
    width and height of the image, image_id; optional category_id and iscrowd; or what TensorFlow,
    Roboflow, Open Images and others call them (``kedge.parse.boxes_table``). Bad boxes are kept
    here: they are counted where used. ``.parquet`` needs polars (``pip install "kedge[data]"``).
    Raises ``ValueError`` for another ending, a missing column, and a damaged file, row or value.
    """
    path = Path(path)
    if path.suffix == ".npz":
        columns = read_npz(path, KNOWN | {"category_names"})
        names = columns.pop("category_names", ())
        if len({len(column) if column.ndim == 1 else -1 for column in columns.values()}) > 1:
            raise ValueError(f"{path}: its columns are not of one length")
        rows = len(next(iter(columns.values()), ()))
        found = boxes_of(Table(file=path, columns=columns, line=range(rows)), sized=True)
        numbered = "category_id" in columns and columns["category_id"].dtype.kind in "iu"
        classes = tuple(str(name) for name in names) if numbered else ()
    elif path.suffix in TABLES:
        found, classes = read_boxes_table(path, sized=True), ()
    else:
        raise ValueError(f"{path}: expected one of .npz, {', '.join(TABLES)}")
    table = replace(_table(found), classes=classes)
    keep = ~found.blank if crowd else ~(found.blank | found.crowd)
    return table if keep.all() else table[keep]


def scan(path: str | Path) -> Any:
    """A polars LazyFrame over a ``.csv``, ``.parquet`` or ``.jsonl`` file, or a glob of them."""
    try:
        import polars
    except ImportError as missing:
        raise ImportError(f'{path}: tables need polars: pip install "kedge[data]"') from missing
    suffix = Path(path).suffix
    if suffix == ".csv":
        return polars.scan_csv(path)
    if suffix == ".parquet":
        return polars.scan_parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return polars.scan_ndjson(path)
    raise ValueError(f"{path}: expected one of {', '.join(TABLES)}")


def _table(found: TableOfBoxes) -> BoxTable:
    unsized = ~(np.isfinite(found.size) & (found.size >= 1)).all(axis=1)
    if unsized.any():
        row = int(np.argmax(unsized))
        raise ValueError(
            f"{found.file}: row {found.line[row]}: the image's width and height are "
            f"{found.size[row, 1]:g} and {found.size[row, 0]:g}"
        )
    if len(found) == 0:
        raise ValueError(f"{found.file}: holds no rows")
    said = ()
    if found.shares:
        said = ("all coordinates lie between 0 and 1: taken as shares of the image's sides",)
    with np.errstate(over="ignore"):
        xyxy, size = found.xyxy.astype(np.float32), found.size.astype(np.float32)
    return BoxTable(
        xyxy=xyxy,
        size=size,
        image=_codes(found.image),
        label=np.full(len(found), -1) if found.label is None else _codes(found.label),
        said=said,
    )


def _codes(values: Any) -> np.ndarray:
    """Whole numbers as they are; anything else numbered in the order of its values."""
    column = np.asarray(values)
    if column.dtype.kind == "O":
        column = np.asarray([str(value) for value in values])
    if column.dtype.kind in "iu":
        return column.astype(np.int64)
    if column.dtype.kind in "US":
        try:
            return column.astype(np.int64)
        except (ValueError, OverflowError):
            pass
    return np.unique(column, return_inverse=True)[1].astype(np.int64)
