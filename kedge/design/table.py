"""Boxes of a data set as arrays, and where to read them from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.design.sketch import Sketch

COLUMNS = (
    "x, y, w, h (or x1, y1, x2, y2), width, height and image_id; optional category_id, iscrowd"
)
TABLES = (".csv", ".parquet", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxTable:
    """Boxes and the images they are in.

    ``xyxy`` (n, 4) float32 pixels, ``size`` (n, 2) float32 (H, W) of each box's image, ``image``
    (n,) int64 (any numbers that tell images apart), ``label`` (n,) int64 (-1: unknown).
    """

    xyxy: np.ndarray
    size: np.ndarray
    image: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> "BoxTable":
        return BoxTable(
            xyxy=self.xyxy[index],
            size=self.size[index],
            image=self.image[index],
            label=self.label[index],
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

    Columns: x, y, w, h (top left corner; or x1, y1, x2, y2) in pixels, width and height of the
    image, image_id; optional category_id and iscrowd. Bad boxes are kept here: they are counted
    where used. All but ``.npz`` need polars (``pip install "kedge[data]"``). Raises ``ValueError``
    for another ending or a missing column.
    """
    path = Path(path)
    if path.suffix == ".npz":
        columns = _npz(path)
    elif path.suffix in TABLES:
        columns = {k: v.to_numpy() for k, v in scan(path).collect().to_dict().items()}
    else:
        raise ValueError(f"{path}: expected one of .npz, {', '.join(TABLES)}")
    table = _table(columns, path)
    mark = columns.get("iscrowd")
    return table if mark is None or crowd else table[~np.asarray(mark, bool)]


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


def _npz(path: Path) -> dict[str, np.ndarray]:
    wanted = {*"xywh", "x1", "y1", "x2", "y2", "width", "height"}
    wanted |= {"image_id", "category_id", "iscrowd"}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if key in wanted}
    except (OSError, ValueError) as problem:
        raise ValueError(f"{path}: cannot be read as .npz: {problem}") from problem


def _table(columns: dict[str, np.ndarray], path: Path) -> BoxTable:
    corner = "x" in columns
    names = ("x", "y", "w", "h") if corner else ("x1", "y1", "x2", "y2")
    missing = [n for n in (*names, "width", "height", "image_id") if n not in columns]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; expected {COLUMNS}")
    xyxy = np.stack([np.asarray(columns[n], np.float32) for n in names], 1)
    if corner:
        with np.errstate(invalid="ignore"):
            xyxy[:, 2:] += xyxy[:, :2]
    size = np.stack([np.asarray(columns[n], np.float32) for n in ("height", "width")], 1)
    label = columns.get("category_id")
    image = np.asarray(columns["image_id"])
    if image.dtype.kind not in "iu":
        image = np.unique(image, return_inverse=True)[1]
    return BoxTable(
        xyxy=xyxy,
        size=size,
        image=image.astype(np.int64),
        label=np.full(len(xyxy), -1) if label is None else np.asarray(label, np.int64),
    )
