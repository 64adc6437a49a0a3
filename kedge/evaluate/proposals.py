"""Recall of proposals: how many objects a set of boxes covers, whatever their class."""

from collections.abc import Sequence

import numpy as np

from kedge.evaluate.coco_engine import AREAS, evaluate, mean_of_valid
from kedge.evaluate.columns import Row, array, read_all


def proposal_recall(
    predictions: Sequence[Row], targets: Sequence[Row], limits: Sequence[int] = (100, 300, 1000)
) -> dict[str, float]:
    """Class-agnostic average recall with the best k proposals of every image.

    `predictions`: ``boxes`` (n, 4) xyxy and ``scores`` (n,) of each image; `targets` as in
    ``coco_metrics``. Labels of either are not read. Crowd objects count for nothing.

    Returns ``AR@k`` for each k of `limits` (mean recall over IoU .5:.05:.95), ``AR50@k`` (at IoU
    .5), and by size ``ARs@k``, ``ARm@k``, ``ARl@k``. NaN where there is no object.

    Source: COCO's protocol with ``useCats = 0`` (pycocotools).
    """
    ordered = sorted(set(limits))
    if not ordered or ordered[0] < 1:
        raise ValueError(f"limits must be positive numbers of proposals, not {list(limits)}")
    objects, found = read_all(
        [_without_labels(p) for p in predictions], [_without_labels(t) for t in targets], 1
    )
    tables = evaluate(
        objects,
        found,
        num_images=len(targets),
        num_classes=1,
        limits=tuple(ordered),
        class_agnostic=True,
    )
    result: dict[str, float] = {}
    for m, k in enumerate(ordered):
        result[f"AR@{k}"] = mean_of_valid(tables.recall[:, :, 0, m])
        result[f"AR50@{k}"] = mean_of_valid(tables.recall[0, :, 0, m])
        for a, name in enumerate(AREAS[1:], start=1):
            result[f"AR{name[0]}@{k}"] = mean_of_valid(tables.recall[:, :, a, m])
    return result


def _without_labels(row: Row) -> Row:
    if "boxes" not in row:
        return row
    count = array(row["boxes"]).size // 4
    return dict(row) | {"labels": np.zeros(count, dtype=np.int64)}
