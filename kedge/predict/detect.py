"""Detections of a trained detector: of a data set, a folder, or an image."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kedge.data import (
    Data,
    DetectionDataset,
    OnBadBox,
    collate,
    eval_transforms,
    read,
    to_original,
)
from kedge.data.images import SUFFIXES
from kedge.detectors.detector import Detector
from kedge.detectors.pictures import record_of

Rows = list[dict[str, Tensor]]


def pick_device() -> torch.device:
    """The accelerator, where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@torch.no_grad()
def detect(
    detector: Detector,
    data: Data,
    image_size: tuple[int, int],
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Detections, one dictionary per record, on the CPU.

    ``boxes`` (n, 4) xyxy in pixels of the *original* image, ``labels`` (n,) 0-based, ``scores``
    (n,), best first.

    `image_size`: (H, W) of the network's input; images are letterboxed into it. `progress` is told
    the number of images after each batch. The detector returns to the mode and device it had.
    """
    device = device or pick_device()
    dataset = DetectionDataset(data, eval_transforms(image_size), cache=False)
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=collate)
    was_training, home = detector.training, next(detector.parameters()).device
    detector.eval().to(device)
    found: Rows = []
    try:
        for images, targets in loader:
            outputs = detector(images.to(device))
            for output, target in zip(outputs, targets, strict=True):
                row = {key: output[key].cpu() for key in ("boxes", "labels", "scores")}
                row["boxes"] = to_original(row["boxes"], target)
                found.append(row)
            if progress is not None:
                progress(len(targets))
    finally:
        detector.train(was_training).to(home)
    return found


def ground_truth(data: Data) -> list[dict[str, Any]]:
    """The objects of a data set in the form that ``kedge.evaluate`` takes."""
    return [
        {
            "boxes": record.boxes,
            "labels": record.labels,
            "iscrowd": record.crowd,
            "image_id": record.image_id,
        }
        for record in data.records
    ]


def score(found: Sequence[dict[str, Any]], data: Data) -> dict[str, Any]:
    """COCO metrics of `found` (one row per record of `data`), and ``VOC`` mean AP at IoU 0.5."""
    from kedge.evaluate import coco_metrics, voc_metrics

    truth = ground_truth(data)
    metrics = coco_metrics(found, truth, num_classes=len(data.classes))
    return metrics | {"VOC": voc_metrics(found, truth, len(data.classes))["mAP"]}


def read_to_score(path: str, split: str | None, on_bad_box: OnBadBox = "error") -> Data:
    """The split asked for; without one test, else val, else the only split there is."""
    if split is not None:
        return read(path, split, on_bad_box)
    sketch = read(path, None, "drop", check_images=False)
    chosen = next((name for name in ("test", "val") if name in sketch.splits), sketch.split)
    single = chosen is None or not sketch.splits or Path(path).suffix == ".json"
    return read(path, None if single else chosen, on_bad_box)


def check_classes(classes: Sequence[str], data: Data) -> None:
    """``ValueError`` unless `data` has just these classes, in this order."""
    if tuple(classes) != data.classes:
        raise ValueError(
            f"{data.source}: has classes {list(data.classes)}, the detector knows {list(classes)}"
        )


def from_results(path: Path, data: Data) -> list[dict[str, Any]]:
    """A COCO results file as one row per record of `data`, from whatever detector.

    Raises ``ValueError`` naming file and entry for an image or a category that `data` lacks.
    """
    from kedge.evaluate import image_places, read_results

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
    from kedge.evaluate import to_results, write_results

    ids = [record.image_id for record in data.records]
    write_results(path, to_results(found, ids, data.category_ids))


def above(row: dict[str, Tensor], min_score: float) -> dict[str, Tensor]:
    """The detections of one image that score at least `min_score`."""
    keep = row["scores"] >= min_score
    return {key: value[keep] for key, value in row.items()}


def image_files(path: Path) -> list[Path]:
    """The image itself, or the images of a folder in order of their names.

    Raises ``ValueError`` where there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such image or folder")
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{path}: holds no images ({', '.join(SUFFIXES)})")
    return files


def unlabelled(files: Sequence[Path], classes: Sequence[str], category_ids: Sequence[int]) -> Data:
    """Image files as a data set without objects; ids count from 1."""
    records = [record_of(file, number) for number, file in enumerate(files, start=1)]
    return Data(
        source=str(files[0].parent),
        format="images",
        split=None,
        splits=(),
        classes=tuple(classes),
        category_ids=tuple(category_ids),
        records=records,
    )
