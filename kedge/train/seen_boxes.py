"""Training boxes as the network sees them: after resizing and augmentation."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedge.data import Data, DetectionDataset
from kedge.data.transforms import Transform

_ENOUGH = 20_000  # boxes; their mean best IoU is known to about a thousandth
_RECORDS = 4_000  # images a pass


class Seen(NamedTuple):
    """Boxes: widths and heights (n, 2) in pixels, and classes (n,)."""

    sizes: NDArray[np.float32]
    label: NDArray[np.int64]


def seen_boxes(data: Data, transform: Transform, seed: int, passes: int = 4) -> Seen:
    """The boxes of the first epochs that have an area, crowds left out.

    Up to `passes` epochs, because augmentation scatters sizes; of a large set, a sample. The very
    boxes of the training items with this transform and seed, but over blank images: nothing is
    decoded. `transform` should leave colours alone (they cost time and move no box).
    """
    rng = np.random.default_rng(seed)
    chosen = [i for i, record in enumerate(data.records) if len(record.boxes)]
    if len(chosen) > _RECORDS:
        chosen = sorted(rng.choice(chosen, _RECORDS, replace=False).tolist())
    blank = [replace(r, draw=partial(_blank, r.height, r.width)) for r in data.records]
    dataset = DetectionDataset(replace(data, records=blank), transform, seed=seed, cache=False)
    sizes, labels = [np.zeros((0, 2), np.float32)], [np.zeros(0, np.int64)]
    for epoch in range(passes):
        dataset.set_epoch(epoch)
        for index in chosen:
            _, target = dataset[index]
            real = ~target["iscrowd"]
            boxes = target["boxes"][real].numpy()
            sizes.append(boxes[:, 2:] - boxes[:, :2])
            labels.append(target["labels"][real].numpy())
        if sum(map(len, sizes)) >= _ENOUGH:
            break
    found, label = np.concatenate(sizes), np.concatenate(labels)
    solid = (found > 0).all(axis=1)
    return Seen(found[solid], label[solid])


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)
