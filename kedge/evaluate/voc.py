"""Pascal VOC average precision."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.boxes import iou
from kedge.evaluate.columns import Found, Objects, Row, array, read_all

Method = Literal["area", "11-point", "coco-101"]


def average_precision(hits: Any, num_objects: int, method: Method = "area") -> float:
    """Average precision of ranked detections.

    `hits` (n,) bool: whether each detection is a true positive, by falling score. `num_objects`:
    objects to be found. NaN without objects; 0 without detections.

    ``area``: area under the precision envelope (VOC 2010 and later). ``11-point``: mean of the
    envelope at recall 0, .1 .. 1 (VOC 2007). ``coco-101``: at recall 0, .01 .. 1.
    """
    if num_objects == 0:
        return float("nan")
    right = np.asarray(hits, dtype=bool)
    if not right.any():
        return 0.0
    true = right.cumsum()
    recall = true / num_objects
    precision = true / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if method == "area":
        return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    if method not in ("11-point", "coco-101"):
        raise ValueError(f"method must be 'area', '11-point' or 'coco-101', not {method!r}")
    # k / 10 and not k * 0.1: 3 found of 10 has recall 0.3, which 3 * 0.1 exceeds by a rounding
    asked = np.arange(11) / 10 if method == "11-point" else np.linspace(0, 1, 101)
    first = np.searchsorted(recall, asked, side="left")
    return float(np.append(envelope, 0.0)[first].mean())


def voc_metrics(
    predictions: Sequence[Row],
    targets: Sequence[Row],
    num_classes: int,
    min_iou: float = 0.5,
    method: Method = "area",
) -> dict[str, Any]:
    """VOC mean average precision; the input of ``coco_metrics``.

    An object is `difficult` where ``iscrowd`` or ``difficult`` says so: finding it counts neither
    for nor against. Returns ``mAP`` (mean over the classes that have objects, NaN when none has)
    and ``AP_per_class`` (NaN without objects).

    Source: Everingham et al., VOC devkit: by falling score each detection takes the object it
    overlaps most, of its image and class; at ``IoU >= min_iou`` the first is right and every
    further one wrong. Deviation: a width is ``x2 - x1`` (devkit: ``+ 1``).
    """
    targets = [_difficult_as_crowd(target) for target in targets]
    objects, found = read_all(predictions, targets, num_classes)
    scores = [
        _class_ap(objects, found, label, min_iou=min_iou, method=method)
        for label in range(num_classes)
    ]
    valid = [score for score in scores if not np.isnan(score)]
    return {"mAP": float(np.mean(valid)) if valid else float("nan"), "AP_per_class": scores}


def _difficult_as_crowd(target: Row) -> Row:
    if "difficult" not in target:
        return target
    merged = dict(target)
    difficult = array(merged.pop("difficult"), np.bool_).reshape(-1)
    crowd = array(merged.get("iscrowd", np.zeros(len(difficult))), np.bool_).reshape(-1)
    return merged | {"iscrowd": difficult | crowd}


def _class_ap(
    objects: Objects, found: Found, label: int, *, min_iou: float, method: Method
) -> float:
    mine = np.flatnonzero(objects.label == label)
    rows = np.flatnonzero(found.label == label)
    rows = rows[np.argsort(-found.score[rows], kind="stable")]
    match, overlap = _best_object(objects, mine, found, rows)
    touches = overlap >= min_iou
    ignored = touches.copy()
    ignored[touches] = objects.crowd[match[touches]]
    # the best object does not depend on what others took, so "first" is a matter of rank alone
    claimed = np.where(touches & ~ignored, match, -1)
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(claimed, return_index=True)[1]] = True
    hits = first & (claimed >= 0)
    return average_precision(hits[~ignored], int((~objects.crowd[mine]).sum()), method)


def _best_object(
    objects: Objects, mine: NDArray[np.int64], found: Found, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For every detection of `rows` the object of `mine` in its image that it overlaps most (IoU 0:
    none).
    """
    match, overlap = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
    by_object = _groups(objects.image[mine])
    for image, places in _groups(found.image[rows]).items():
        if image not in by_object:
            continue
        candidates = mine[by_object[image]]
        boxes = torch.from_numpy(found.boxes[rows[places]])
        table = iou(boxes[:, None], torch.from_numpy(objects.boxes[candidates])[None]).numpy()
        best = table.argmax(axis=1)
        match[places] = candidates[best]
        overlap[places] = table[np.arange(len(places)), best]
    return match, overlap


def _groups(values: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Places of every distinct value, in their own order."""
    order = np.argsort(values, kind="stable")
    names, starts = np.unique(values[order], return_index=True)
    parts = np.split(order, starts[1:]) if len(order) else []
    return {int(name): part for name, part in zip(names, parts, strict=True)}
