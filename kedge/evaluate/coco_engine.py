"""The one place that talks to hotcoco: columns in, precision and recall tables out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedge.evaluate.columns import Found, Objects

AREAS = ("all", "small", "medium", "large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """COCO's raw tables; -1 marks a class without objects of that size.

    ``precision`` (10 IoU thresholds .5:.05:.95, 101 recalls, C classes, 4 sizes, M limits),
    ``recall`` (10, C, 4, M). Sizes in the order of ``AREAS``; limits as asked for.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def _xywh(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def evaluate(
    objects: Objects,
    found: Found,
    *,
    num_images: int,
    num_classes: int,
    limits: tuple[int, ...],
    class_agnostic: bool = False,
) -> Tables:
    """Run the COCO protocol. ``limits``: detections counted an image (and class), ascending."""
    import hotcoco  # takes a tenth of a second and is not needed for anything else

    images = [{"id": i, "width": 0, "height": 0} for i in range(num_images)]
    categories = [{"id": c, "name": str(c)} for c in range(num_classes)]
    truth = hotcoco.COCO.from_arrays(
        images,
        categories,
        objects.image,
        objects.label,
        _xywh(objects.boxes),
        area=objects.area,
        iscrowd=objects.crowd.astype(np.int64),
    )
    columns = (found.image[:, None], _xywh(found.boxes), found.score[:, None], found.label[:, None])
    run = hotcoco.COCOeval(truth, truth.load_res(np.concatenate(columns, axis=1)), "bbox")
    run.params.img_ids = list(range(num_images))
    run.params.cat_ids = list(range(num_classes))
    run.params.max_dets = list(limits)
    run.params.use_cats = not class_agnostic
    run.evaluate()
    run.accumulate()
    assert run.eval is not None
    return Tables(
        precision=np.asarray(run.eval["precision"]), recall=np.asarray(run.eval["recall"])
    )


def mean_of_valid(values: NDArray[np.float64]) -> float:
    """Mean of the entries that are not -1; NaN when there is none."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else float("nan")
