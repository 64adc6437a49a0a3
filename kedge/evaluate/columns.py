"""Detections and objects of a data set as flat columns, the form that every metric reads.

Predictions and targets arrive as torchvision writes them: one dictionary an image. Numbers are
turned to float64 before any arithmetic, so that ``x2 - x1`` does not depend on the dtype they came
in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.counted import count

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Ground truth: ``image`` (G,) row of the image, ``label`` (G,), ``boxes`` (G, 4) xyxy,
    ``area`` (G,), ``crowd`` (G,).

    ``area`` decides small, medium or large. It is the box's own unless the target says otherwise
    (COCO's annotations carry the area of the mask; NaN says nothing).
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Detections: ``image`` (D,) row of the image, ``label`` (D,), ``boxes`` (D, 4) xyxy, ``score``
    (D,).
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    score: NDArray[np.float64]


def array(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """A numpy array of a tensor (any device), array or list."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (
            values.double() if values.is_floating_point() else values
        )  # bfloat16 has no numpy twin
        values = values.numpy()
    return np.asarray(values, dtype=dtype)


def _boxes(row: Row, where: str) -> NDArray[np.float64]:
    if "boxes" not in row:
        raise ValueError(f"{where} has no 'boxes' (found {sorted(row)})")
    boxes = array(row["boxes"])
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{where}: boxes must have the shape (n, 4), not {boxes.shape}")
    if not np.isfinite(boxes).all():
        bad = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0])
        raise ValueError(f"{where}: box {bad} is not finite: {boxes[bad].tolist()}")
    return boxes


def _column(row: Row, key: str, n: int, where: str, dtype: Any) -> NDArray[Any]:
    if key not in row:
        raise ValueError(f"{where} has no {key!r} (found {sorted(row)})")
    values = array(row[key], dtype).reshape(-1)
    if len(values) != n:
        raise ValueError(f"{where}: {count(n, 'box', 'boxes')} but {len(values)} {key}")
    return values


def _labels(row: Row, n: int, where: str, num_classes: int) -> NDArray[np.int64]:
    labels = _column(row, "labels", n, where, np.int64)
    if n and (labels.min() < 0 or labels.max() >= num_classes):
        bad = int(labels[(labels < 0) | (labels >= num_classes)][0])
        raise ValueError(
            f"{where}: label {bad} is outside 0..{num_classes - 1} "
            "(labels are 0-based, without background)"
        )
    return labels


def read_target(target: Row, *, index: int, num_classes: int, image: int) -> Objects:
    """The objects of one image. ``iscrowd`` and ``area`` are optional."""
    where = f"target {index}"
    boxes = _boxes(target, where)
    n = len(boxes)
    crowd = (
        _column(target, "iscrowd", n, where, np.bool_)
        if "iscrowd" in target
        else np.zeros(n, np.bool_)
    )
    labels = _labels(target, n, where, num_classes)
    area = _areas(target, boxes, where)
    return Objects(image=np.full(n, image), label=labels, boxes=boxes, area=area, crowd=crowd)


def _areas(target: Row, boxes: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    own = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    if "area" not in target:
        return own
    said = _column(target, "area", len(boxes), where, np.float64)
    return np.where(np.isnan(said), own, said)


def read_prediction(prediction: Row, *, index: int, num_classes: int, image: int) -> Found:
    """The detections of one image; scores must be numbers, not NaN."""
    where = f"prediction {index}"
    boxes = _boxes(prediction, where)
    score = _column(prediction, "scores", len(boxes), where, np.float64)
    if np.isnan(score).any():
        raise ValueError(f"{where}: score {int(np.flatnonzero(np.isnan(score))[0])} is NaN")
    labels = _labels(prediction, len(boxes), where, num_classes)
    return Found(image=np.full(len(boxes), image), label=labels, boxes=boxes, score=score)


def stack_objects(parts: Sequence[Objects]) -> Objects:
    """One column set of many; empty without parts."""
    return Objects(
        image=np.concatenate([p.image for p in parts] or [np.zeros(0, np.int64)]),
        label=np.concatenate([p.label for p in parts] or [np.zeros(0, np.int64)]),
        boxes=np.concatenate([p.boxes for p in parts] or [np.zeros((0, 4))]),
        area=np.concatenate([p.area for p in parts] or [np.zeros(0)]),
        crowd=np.concatenate([p.crowd for p in parts] or [np.zeros(0, np.bool_)]),
    )


def stack_found(parts: Sequence[Found]) -> Found:
    """One column set of many; empty without parts."""
    return Found(
        image=np.concatenate([p.image for p in parts] or [np.zeros(0, np.int64)]),
        label=np.concatenate([p.label for p in parts] or [np.zeros(0, np.int64)]),
        boxes=np.concatenate([p.boxes for p in parts] or [np.zeros((0, 4))]),
        score=np.concatenate([p.score for p in parts] or [np.zeros(0)]),
    )


def read_all(
    predictions: Sequence[Row], targets: Sequence[Row], num_classes: int
) -> tuple[Objects, Found]:
    """Columns of a whole data set; images are numbered by their place in the lists."""
    if len(predictions) != len(targets):
        raise ValueError(
            f"{count(len(predictions), 'prediction')} for {count(len(targets), 'target')}: "
            "one of each an image"
        )
    objects = [
        read_target(t, index=i, num_classes=num_classes, image=i) for i, t in enumerate(targets)
    ]
    found = [
        read_prediction(p, index=i, num_classes=num_classes, image=i)
        for i, p in enumerate(predictions)
    ]
    return stack_objects(objects), stack_found(found)
