"""What the objects of a data set are like, in a few lines: sizes, aspect ratios, classes."""

import numpy as np

from kedge.data.records import Data

_CLASSES = 12  # the most frequent are listed
_SMALL, _LARGE = 32.0, 96.0  # COCO's borders: square roots of areas


def overview(data: Data) -> list[str]:
    """Lines about the objects of `data`, crowd regions left out; none where there is no object.

    Sizes are square roots of areas in pixels of the images as annotated, aspect ratios h / w.
    """
    fair = [record.boxes[~record.crowd].reshape(-1, 4) for record in data.records]
    boxes = np.concatenate([np.zeros((0, 4)), *fair]).astype(np.float64)
    if not len(boxes):
        return []
    labels = np.concatenate([record.labels[~record.crowd] for record in data.records])
    wh = boxes[:, 2:] - boxes[:, :2]
    side = np.sqrt(wh.prod(axis=1))
    bands = np.bincount(np.digitize(side, (_SMALL, _LARGE)), minlength=3) / len(side)
    small, medium, large = (f"{share:.1%}" for share in bands)
    most = max(len(part) for part in fair)
    return [
        f"objects: {len(boxes):,}, at most {most:,} in an image",
        f"sizes (square root of the area, px): {_spread(side)}; {small} small, {medium} medium, "
        f"{large} large (below 32, below 96, above)",
        f"aspect ratios (h / w): {_spread(wh[:, 1] / np.maximum(wh[:, 0], 1e-9))}",
        f"objects of a class: {_classes(np.bincount(labels, minlength=len(data.classes)), data)}",
    ]


def _spread(values: np.ndarray) -> str:
    low, *middle, high = np.percentile(values, (0, 5, 50, 95, 100))
    names = (f"{part:.3g}" for part in middle)
    return f"{low:.3g} ... {' / '.join(names)} ... {high:.3g} (5 / 50 / 95 %)"


def _classes(number: np.ndarray, data: Data) -> str:
    order = [int(i) for i in np.argsort(-number, kind="stable") if number[i]]
    text = ", ".join(f"{data.classes[i]} {number[i]:,}" for i in order[:_CLASSES])
    if len(order) > _CLASSES:
        rest = number[order[_CLASSES:]]
        text += f", {len(rest)} more with {rest.min():,} to {rest.max():,}"
    none = [data.classes[i] for i in np.flatnonzero(number == 0)]
    if none:
        text += f"; none of {', '.join(none[:5])}" + (
            f" and {len(none) - 5} more" * (len(none) > 5)
        )
    return text
