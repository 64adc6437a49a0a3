"""COCO results files: what detectors hand to one another, and how to judge one that is not ours."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.counted import count
from kedge.evaluate.coco import column_metrics
from kedge.evaluate.columns import Found, Objects, Row, array
from kedge.files import replacing


@dataclass(frozen=True, slots=True)
class Result:
    """One detection as COCO writes it: ``bbox`` is x, y, width, height. ``image_id``: the id, or
    the stem of the file's name, which some detectors write in its place."""

    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


@dataclass(slots=True)
class _Image:
    id: int
    file_name: str = ""


@dataclass(slots=True)
class _Category:
    id: int
    name: str = ""


@dataclass(slots=True)
class _Annotation:
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int = 0


@dataclass(slots=True)
class _Truth:
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def to_results(
    predictions: Sequence[Row], image_ids: Sequence[int], category_ids: Sequence[int]
) -> list[Result]:
    """Predictions (``boxes`` xyxy, ``labels``, ``scores`` of each image) as COCO results.

    `image_ids`: the id of each image. `category_ids`: the category id of each 0-based label.
    """
    if len(predictions) != len(image_ids):
        raise ValueError(f"{count(len(predictions), 'prediction')} for {len(image_ids)} image_ids")
    results = []
    for image_id, prediction in zip(image_ids, predictions, strict=True):
        boxes = array(prediction["boxes"]).reshape(-1, 4)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        labels = array(prediction["labels"], np.int64)
        rows = zip(
            boxes.tolist(), labels.tolist(), array(prediction["scores"]).tolist(), strict=True
        )
        results += [
            Result(
                image_id=int(image_id),
                category_id=int(category_ids[label]),
                bbox=tuple(box),
                score=score,
            )
            for box, label, score in rows
        ]
    return results


def write_results(path: str | os.PathLike[str], results: Sequence[Result]) -> None:
    """Write a COCO results file; a reader sees the old file or the whole new one, never a part."""
    import msgspec

    with replacing(Path(path)) as part:
        part.write_bytes(msgspec.json.encode(results))


def read_results(path: str | os.PathLike[str]) -> list[Result]:
    """Read a COCO results file; fields beyond the four are skipped. Errors name the file and the
    place.
    """
    return _decode(path, list[Result], "a list of {image_id, category_id, bbox, score}")


def judge(
    results: str | os.PathLike[str], ground_truth: str | os.PathLike[str], max_detections: int = 100
) -> dict[str, Any]:
    """COCO metrics of a results file, from any detector, against a COCO ground truth file.

    Returns what ``coco_metrics`` returns and ``classes``: the names in the order of the per-class
    lists (categories by rising id). Detections of unknown images or categories are errors.
    """
    truth = _decode(ground_truth, _Truth, "a COCO file with images, categories and annotations")
    _rows((image.id for image in truth.images), f"{ground_truth}: image")
    images = image_places([i.id for i in truth.images], [i.file_name for i in truth.images])
    categories = sorted(truth.categories, key=lambda category: category.id)
    classes = _rows((category.id for category in categories), f"{ground_truth}: category")
    found = read_results(results)
    objects = _objects(truth.annotations, images, classes, str(ground_truth))
    metrics = column_metrics(
        objects,
        _found(found, images, classes, str(results)),
        num_images=len(truth.images),
        num_classes=len(classes),
        max_detections=max_detections,
    )
    return metrics | {"classes": [category.name or str(category.id) for category in categories]}


def image_places(ids: Sequence[int], names: Sequence[str]) -> dict[int | str, int]:
    """Row of each image by what a results file may call it: its id, else the stem of its file's
    name ("a" of images/a.jpg), as text, or as a number where all of it is one.

    Stems that several images have are left out, and so are all numbers of stems where one of them
    is the id of another image.
    """
    places: dict[int | str, int] = {image_id: row for row, image_id in enumerate(ids)}
    stems = [name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] for name in names]
    count = Counter(stems)
    alone = {stem: row for row, stem in enumerate(stems) if stem and count[stem] == 1}
    numbers = {int(stem): row for stem, row in alone.items() if _is_number(stem)}
    if all(places.get(number, row) == row for number, row in numbers.items()):
        places = numbers | places
    return alone | places


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and len(stem) < 19


def _decode(path: str | os.PathLike[str], kind: Any, wanted: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not {wanted}: {error}") from error


def _rows(ids: Any, where: str) -> dict[int, int]:
    rows: dict[int, int] = {}
    for value in ids:
        if value in rows:
            raise ValueError(f"{where} id {value} appears twice")
        rows[value] = len(rows)
    return rows


def _columns(
    entries: Sequence[Any], images: Mapping[int | str, int], classes: Mapping[int, int], where: str
) -> tuple[Any, Any, Any]:
    """Image rows, labels and xyxy boxes of annotations or results."""
    for row, entry in enumerate(entries):
        if entry.image_id not in images:
            raise ValueError(f"{where}, entry {row}: unknown image_id {entry.image_id!r}")
        if entry.category_id not in classes:
            raise ValueError(f"{where}, entry {row}: unknown category_id {entry.category_id}")
    image = np.array([images[entry.image_id] for entry in entries], dtype=np.int64)
    label = np.array([classes[entry.category_id] for entry in entries], dtype=np.int64)
    boxes = np.array([entry.bbox for entry in entries], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return image, label, boxes


def _objects(
    entries: Sequence[_Annotation],
    images: Mapping[int | str, int],
    classes: Mapping[int, int],
    where: str,
) -> Objects:
    image, label, boxes = _columns(entries, images, classes, where)
    area = [e.bbox[2] * e.bbox[3] if e.area is None else e.area for e in entries]
    crowd = np.array([bool(entry.iscrowd) for entry in entries], dtype=np.bool_)
    return Objects(
        image=image, label=label, boxes=boxes, area=np.array(area, dtype=np.float64), crowd=crowd
    )


def _found(
    entries: Sequence[Result],
    images: Mapping[int | str, int],
    classes: Mapping[int, int],
    where: str,
) -> Found:
    image, label, boxes = _columns(entries, images, classes, where)
    score = np.array([entry.score for entry in entries], dtype=np.float64)
    return Found(image=image, label=label, boxes=boxes, score=score)
