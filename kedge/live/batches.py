"""Images of a data set, some at once, as the strategies take them."""

from collections.abc import Sequence

import torch

from kedge.anchors.grid import Grid
from kedge.live.source import Source, with_image
from kedge.live.state import State
from kedge.types import Targets

_ANCHORS = 2_000_000  # held in one batch
_IMAGES = 16


def batches(state: State, images: Sequence[str]) -> list[list[str]]:
    """The images in parts that are small enough to be held at once."""
    each = max(1, min(_IMAGES, _ANCHORS // max(1, len(state.grid(state.size)))))
    return [list(images[i : i + each]) for i in range(0, len(images), each)]


def by_size(source: Source, state: State, images: Sequence[str]) -> list[tuple[Grid, Targets]]:
    """The images as batches of one input size each: of short-side there are several."""
    groups: dict[tuple[int, int], list[Targets]] = {}
    for image in images:
        record = source.record(image)
        size = state.place(record.height, record.width).outer
        groups.setdefault(size, []).append(source.targets(with_image(state, image)))
    return [(state.grid(size), _joined(rows)) for size, rows in groups.items()]


def _joined(parts: list[Targets]) -> Targets:
    return Targets(
        boxes=torch.cat([p.boxes for p in parts]),
        labels=torch.cat([p.labels for p in parts]),
        image=torch.cat([torch.full_like(p.image, i) for i, p in enumerate(parts)]),
        ignore=torch.cat([p.ignore for p in parts]),
        batch_size=len(parts),
    )
