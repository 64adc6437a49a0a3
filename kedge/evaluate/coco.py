"""COCO average precision and recall of boxes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

import numpy as np

from kedge.counted import count
from kedge.evaluate.coco_engine import AREAS, Tables, evaluate, mean_of_valid
from kedge.evaluate.columns import (
    Found,
    Objects,
    Row,
    array,
    read_prediction,
    read_target,
    stack_found,
    stack_objects,
)

_T = TypeVar("_T", Objects, Found)
_AP50, _AP75 = 0, 5  # rows of the thresholds .5:.05:.95


def coco_metrics(
    predictions: Sequence[Row], targets: Sequence[Row], num_classes: int, max_detections: int = 100
) -> dict[str, Any]:
    """COCO metrics of a whole data set.

    `predictions`: one dictionary an image with ``boxes`` (n, 4) xyxy, ``labels`` (n,) 0-based and
    ``scores`` (n,). `targets`: one an image, in the same order, with ``boxes``, ``labels`` and
    optionally ``iscrowd``, ``area``, ``image_id``. Tensors, arrays or lists.

    Both must be in the pixels of the *original* image: COCO's small, medium and large are areas
    there (undo letterboxing first; ``original_size`` is not used to rescale anything).

    Returns ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, ``AR1``, ``AR10``, ``AR100``,
    ``ARs``, ``ARm``, ``ARl`` as floats, and ``AP_per_class``, ``AP50_per_class``,
    ``objects_per_class`` as lists. What is undefined because no object asks for it (COCO prints -1)
    is NaN, and is left out of every mean. With another `max_detections`, ``AR100`` changes its name
    with it.

    Source: pycocotools ``COCOeval``, bit for bit, with one deviation: at another `max_detections`
    than 100, AP uses that limit too (pycocotools then answers -1).
    """
    accumulator = CocoAccumulator(num_classes, max_detections=max_detections)
    accumulator.update(predictions, targets)
    return accumulator.compute()


class CocoAccumulator:
    """Gathers predictions batch by batch, answers like ``coco_metrics``.

    Keeps one row a detection in memory. It pickles; the parts of a distributed run combine with
    ``merge``, which counts an image once even where a sampler dealt it to two processes.
    """

    def __init__(self, num_classes: int, *, max_detections: int = 100) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        if max_detections <= 10:
            raise ValueError(
                f"max_detections must exceed 10 (AR10 needs them), not {max_detections}"
            )
        self.num_classes = num_classes
        self.max_detections = max_detections
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._objects: list[Objects] = []
        self._found: list[Found] = []
        self._ids: dict[Any, int] = {}

    def __len__(self) -> int:
        """Images seen."""
        return len(self._ids)

    def update(self, predictions: Sequence[Row], targets: Sequence[Row]) -> None:
        """Add images; the formats of ``coco_metrics``. The same ``image_id`` twice is an error."""
        if len(predictions) != len(targets):
            raise ValueError(
                f"{count(len(predictions), 'prediction')} for {count(len(targets), 'target')}: "
                "one of each an image"
            )
        for index, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
            image = len(self._ids)
            key = _image_id(target, image)
            if key in self._ids:
                raise ValueError(f"image_id {key} of target {index} was given before")
            row = {"index": index, "num_classes": self.num_classes, "image": image}
            objects, found = read_target(target, **row), read_prediction(prediction, **row)
            self._ids[key] = image
            self._objects.append(objects)
            self._found.append(found)

    def merge(self, other: Self) -> None:
        """Add the images of `other` that are not here yet; every target needs an ``image_id``."""
        if other.num_classes != self.num_classes:
            raise ValueError(
                f"{count(other.num_classes, 'class', 'classes')} cannot join {self.num_classes}"
            )
        if any(isinstance(key, tuple) for key in (*self._ids, *other._ids)):
            raise ValueError("targets need an image_id for merge to tell their images apart")
        for key, row in other._ids.items():
            if key in self._ids:
                continue
            image = self._ids[key] = len(self._ids)
            self._objects.append(_renumber(other._objects[row], image))
            self._found.append(_renumber(other._found[row], image))

    def compute(self) -> dict[str, Any]:
        """The metrics so far, see ``coco_metrics``."""
        return column_metrics(
            stack_objects(self._objects),
            stack_found(self._found),
            num_images=len(self._ids),
            num_classes=self.num_classes,
            max_detections=self.max_detections,
        )


def column_metrics(
    objects: Objects, found: Found, *, num_images: int, num_classes: int, max_detections: int = 100
) -> dict[str, Any]:
    """``coco_metrics`` of columns."""
    tables = evaluate(
        objects,
        found,
        num_images=num_images,
        num_classes=num_classes,
        limits=(1, 10, max_detections),
    )
    return _summary(tables, max_detections) | _per_class(tables, objects, num_classes)


def _summary(tables: Tables, max_detections: int) -> dict[str, float]:
    precision, recall = tables.precision[..., -1], tables.recall
    every = precision[..., 0]
    metrics = {
        "AP": mean_of_valid(every),
        "AP50": mean_of_valid(every[_AP50]),
        "AP75": mean_of_valid(every[_AP75]),
    }
    metrics |= {f"AP{a[0]}": mean_of_valid(precision[..., i]) for i, a in enumerate(AREAS) if i}
    for m, limit in enumerate((1, 10, max_detections)):
        metrics[f"AR{limit}"] = mean_of_valid(recall[:, :, 0, m])
    metrics |= {f"AR{a[0]}": mean_of_valid(recall[:, :, i, -1]) for i, a in enumerate(AREAS) if i}
    return metrics


def _per_class(tables: Tables, objects: Objects, num_classes: int) -> dict[str, list[Any]]:
    every = tables.precision[..., 0, -1]
    counts = np.bincount(objects.label[~objects.crowd], minlength=num_classes)
    return {
        "AP_per_class": [mean_of_valid(every[:, :, c]) for c in range(num_classes)],
        "AP50_per_class": [mean_of_valid(every[_AP50, :, c]) for c in range(num_classes)],
        "objects_per_class": [int(n) for n in counts],
    }


def _image_id(target: Row, default: int) -> Any:
    """The target's own id, or its place in the row of images, marked as such."""
    if "image_id" not in target:
        return ("row", default)
    value = target["image_id"]
    return value if isinstance(value, str) else int(array(value, np.int64).reshape(-1)[0])


def _renumber(columns: _T, image: int) -> _T:
    return replace(columns, image=np.full(len(columns.label), image))
