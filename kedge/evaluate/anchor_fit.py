"""How well anchor shapes fit boxes, before any place on the grid is looked at.

`wh` is (n, 2) widths and heights of boxes in pixels, `shapes` (k, 2) those of anchors. Arrays,
tensors or lists; both must be positive and finite.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge import boxes as geometry
from kedge.evaluate.columns import array

_ROWS = 65536  # boxes compared at once: memory stays flat for any number of boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioFit:
    """YOLOv5's view of anchors: best possible recall, anchors above threshold a target, fitness."""

    bpr: float
    aat: float
    fitness: float


def best_iou(wh: Any, shapes: Any) -> NDArray[np.float64]:
    """Each box's IoU (n,) with the shape that fits it best."""
    boxes, anchors = _sizes(wh, "wh"), _sizes(shapes, "shapes", at_least=1)
    parts = [_iou(part, anchors).max(axis=1) for part in _chunks(boxes)]
    return np.concatenate(parts) if parts else np.zeros(0)


def mean_best_iou(wh: Any, shapes: Any, weights: Any = None) -> float:
    """Mean over boxes of the IoU with the best shape, by ``weights`` (n,) where given.

    NaN without boxes. Source: YOLOv2's "Avg IOU" (arXiv:1612.08242, table 1).
    """
    best = best_iou(wh, shapes)
    if not len(best):
        return float("nan")
    return float(np.average(best, weights=None if weights is None else array(weights)))


def bpr(wh: Any, shapes: Any, ratio: float = 4.0) -> RatioFit:
    """Best possible recall under YOLOv5's side-ratio rule.

    With ``x = min(r_w, 1 / r_w, r_h, 1 / r_h)`` of box and shape, an anchor answers for a box when
    ``x > 1 / ratio``. ``bpr``: the share of boxes with such an anchor; ``aat``: how many a box has
    on average; ``fitness``: mean over boxes of the best x, 0 where it falls short. NaN without
    boxes.

    Source: ultralytics/yolov5 ``utils/autoanchor.py``.
    """
    if ratio <= 1:
        raise ValueError(f"ratio must exceed 1, not {ratio}")
    boxes, anchors = _sizes(wh, "wh"), _sizes(shapes, "shapes", at_least=1)
    if not len(boxes):
        return RatioFit(bpr=float("nan"), aat=float("nan"), fitness=float("nan"))
    reached = above = fitness = 0.0
    for part in _chunks(boxes):
        own = torch.tensor(part)[:, None].unbind(-1)
        x = geometry.side_ratio(*own, *torch.tensor(anchors).unbind(-1)).numpy()
        best = x.max(axis=1)
        reached += float((best > 1 / ratio).sum())
        above += float((x > 1 / ratio).sum())
        fitness += float(best[best > 1 / ratio].sum())
    n = len(boxes)
    return RatioFit(bpr=reached / n, aat=above / n, fitness=fitness / n)


def _iou(boxes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    return geometry.shape_iou(torch.tensor(boxes)[:, None], torch.tensor(anchors)).numpy()


def _chunks(boxes: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    return (boxes[i : i + _ROWS] for i in range(0, len(boxes), _ROWS))


def _sizes(values: Any, name: str, at_least: int = 0) -> NDArray[np.float64]:
    sizes = array(values)
    sizes = sizes.reshape(0, 2) if sizes.size == 0 else sizes
    if sizes.ndim != 2 or sizes.shape[1] != 2:
        raise ValueError(f"{name} must have the shape (n, 2): width, height; not {sizes.shape}")
    if len(sizes) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} row")
    good = np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise ValueError(f"{name}[{bad}] must be positive and finite, not {sizes[bad].tolist()}")
    return sizes
