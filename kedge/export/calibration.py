"""The images that int8 is calibrated with: as the network will see them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kedge.data import Data, DetectionDataset, collate, eval_transforms


def spread(data: Data, count: int) -> Data:
    """`count` of the images at most, spread over the data."""
    step = max(1, -(-len(data.records) // count))
    return replace(data, records=data.records[::step])


def calibration_images(
    data: Data, image_size: tuple[int, int], count: int
) -> Iterator[NDArray[np.float32]]:
    """(1, 3, H, W) in [0, 1]: `count` images of the data at most, letterboxed into (H, W)."""
    few = DetectionDataset(spread(data, count), eval_transforms(image_size), cache=False)
    for number in range(len(few)):
        batch, _ = collate([few[number]])
        yield batch.numpy()
