"""Objects that a resize leaves without a pixel, and what helps."""

import math

import numpy as np

from kedge.counted import count
from kedge.data.records import Data


def below_a_pixel(data: Data, image_size: tuple[int, int]) -> str | None:
    """A sentence about the objects under one pixel wide or high once their images are letterboxed
    into `image_size` (H, W); None where there are none.

    It names the worst image, and the cure: tiles, which keep the size of objects, or the smallest
    input in which none is below one pixel.
    """
    small, total, worst, where, stored = 0, 0, math.inf, "", 0.0
    for record in data.records:
        boxes = record.boxes[~record.crowd]
        total += len(boxes)
        if not len(boxes) or not record.width or not record.height:
            continue
        rate = min(1.0, image_size[0] / record.height, image_size[1] / record.width)
        sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) * rate
        small += int((sides < 1).sum())
        if sides.min() < min(worst, 1):
            worst, where = float(sides.min()), str(record.file or record.name)
            stored = worst / rate
    if not small:
        return None
    larger = math.ceil(max(image_size) / worst / 32) * 32
    tiles = f"tiles (in tiles of {image_size[0]} x {image_size[1]} it has {stored:.3g} pixels)"
    return (
        f"under one pixel wide or high: {small} of {count(total, 'object')} in an input of "
        f"{image_size[0]} x {image_size[1]} (the smallest, {worst:.2f}, in {where}): cut the "
        f"images into {tiles}, or use a larger input (--image-size {larger})"
    )
