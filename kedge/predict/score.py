"""Detections against a data set: the objects, the metrics, and COCO results files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kedge.data import Data, OnBadBox, read, splits_of
from kedge.data.problems import stop_if_no_box_is_left
from kedge.evaluate import (
    coco_metrics,
    image_places,
    proposal_recall,
    read_results,
    to_results,
    voc_metrics,
    write_results,
)


def ground_truth(data: Data) -> list[dict[str, Any]]:
    """The objects of a data set in the form that ``kedge.evaluate`` takes."""
    return [
        {
            "boxes": record.boxes,
            "labels": record.labels,
            "iscrowd": record.crowd,
            "image_id": record.image_id,
        }
        | ({} if record.area is None else {"area": record.area})
        for record in data.records
    ]


def score(found: Sequence[dict[str, Any]], data: Data, max_detections: int = 100) -> dict[str, Any]:
    """COCO metrics of `found` (one row per record of `data`), of which `max_detections` of a class
    in an image count, and ``VOC`` mean AP at IoU 0.5, which counts all."""
    truth = ground_truth(data)
    metrics = coco_metrics(
        found, truth, num_classes=len(data.classes), max_detections=max_detections
    )
    return metrics | {"VOC": voc_metrics(found, truth, len(data.classes))["mAP"]}


def recall_of(
    proposals: Sequence[dict[str, Any]], data: Data, limits: Sequence[int]
) -> dict[str, float]:
    """Recall of the best k proposals of every image (one row per record of `data`), whatever the
    class: ``AR@k``, ``AR50@k`` and by size, for each k of `limits`."""
    return proposal_recall(proposals, ground_truth(data), limits)


def read_to_score(
    path: str, split: str | None, on_bad_box: OnBadBox = "error", root: Path | None = None
) -> Data:
    """The split asked for; without one test, else val, else what ``read`` takes. No other split is
    read."""
    if split is None:
        known = splits_of(path)
        split = next((name for name in ("test", "val") if name in known), None)
    found = read(path, split, on_bad_box, root=root)
    stop_if_no_box_is_left([found])
    return found


def check_classes(classes: Sequence[str] | None, data: Data) -> None:
    """``ValueError`` unless a detector of `classes` knows all those of `data`."""
    known = [] if classes is None else list(classes)
    unknown = [name for name in data.classes if name not in known]
    if unknown:
        raise ValueError(
            f"{data.source}: has classes {list(data.classes)}, the detector knows {known}: not "
            + ", ".join(unknown)
        )


def relabelled(
    found: Sequence[dict[str, Tensor]], classes: Sequence[str], data: Data
) -> tuple[list[dict[str, Tensor]], int]:
    """Detections by a detector of `classes` with the labels of `data`, and how many were left out
    because `data` has no such class."""
    own = {name: label for label, name in enumerate(data.classes)}
    table = torch.tensor([own.get(name, -1) for name in classes])
    rows, others = [], 0
    for row in found:
        labels = table[row["labels"]]
        keep = labels >= 0
        others += int((~keep).sum())
        kept = {key: value[keep] for key, value in row.items()}
        rows.append(kept | {"labels": labels[keep]})
    return rows, others


def from_results(path: Path, data: Data) -> list[dict[str, Any]]:
    """A COCO results file as one row per record of `data`, from whatever detector.

    Raises ``ValueError`` naming file and entry for an image or a category that `data` lacks.
    """
    places = image_places([r.image_id for r in data.records], [r.name for r in data.records])
    labels = {category: label for label, category in enumerate(data.category_ids)}
    rows: list[dict[str, list[Any]]] = [
        {"boxes": [], "labels": [], "scores": []} for _ in data.records
    ]
    for number, result in enumerate(read_results(path)):
        if result.image_id not in places:
            raise ValueError(f"{path}, entry {number}: no image has the id {result.image_id!r}")
        if result.category_id not in labels:
            raise ValueError(f"{path}, entry {number}: no category has the id {result.category_id}")
        row, (x, y, w, h) = rows[places[result.image_id]], result.bbox
        row["boxes"].append((x, y, x + w, y + h))
        row["labels"].append(labels[result.category_id])
        row["scores"].append(result.score)
    return [
        {
            "boxes": np.array(row["boxes"], np.float64).reshape(-1, 4),
            "labels": np.array(row["labels"], np.int64),
            "scores": np.array(row["scores"], np.float64),
        }
        for row in rows
    ]


def write_detections(path: Path, found: Sequence[dict[str, Any]], data: Data) -> None:
    """Write detections as a COCO results file, in the data set's own ids, atomically."""
    ids = [record.image_id for record in data.records]
    write_results(path, to_results(found, ids, data.category_ids))
