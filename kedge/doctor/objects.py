"""The objects of a data set, packed, and the same objects as the network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.data import Record
from kedge.data.seen import as_seen as boxes_as_seen
from kedge.data.seen import checked_size, letterboxed
from kedge.types import Targets

BANDS = ("small", "medium", "large")
_EDGES = (32.0, 96.0)  # COCO's: square roots of areas


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """All objects of some images, packed and in order of their images.

    ``xyxy`` (n, 4) float32, ``label`` (n,), ``crowd`` (n,) bool, ``image`` (n,) index into the
    images, ``size`` (m, 2) width and height of every image.
    """

    xyxy: NDArray[np.float32]
    label: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    image: NDArray[np.int64]
    size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def wh(self) -> NDArray[Any]:
        """(n, 2) widths and heights."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    @property
    def root_area(self) -> NDArray[Any]:
        """(n,) square root of the area."""
        return np.sqrt(self.wh.prod(axis=1))

    @property
    def centres(self) -> NDArray[Any]:
        """(n, 2) centres x, y."""
        return (self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2

    def where(self, keep: NDArray[np.bool_]) -> "Objects":
        """The objects of which ``keep`` (n,) is true; the images stay."""
        return replace(
            self,
            xyxy=self.xyxy[keep],
            label=self.label[keep],
            crowd=self.crowd[keep],
            image=self.image[keep],
        )

    @property
    def fair(self) -> "Objects":
        """Without crowd regions."""
        return self.where(~self.crowd)

    def of_images(self, chosen: NDArray[np.int64]) -> "Objects":
        """The objects of the images ``chosen`` (ascending), which are renumbered from 0."""
        place = np.full(len(self.size), -1)
        place[chosen] = np.arange(len(chosen))
        part = self.where(place[self.image] >= 0)
        return replace(part, image=place[part.image], size=self.size[chosen])

    def targets(self, first: int, last: int) -> Targets:
        """The objects of the images ``first`` to ``last`` - 1, as a batch."""
        low, high = np.searchsorted(self.image, (first, last))
        return Targets(
            boxes=torch.from_numpy(self.xyxy[low:high]),
            labels=torch.from_numpy(self.label[low:high]),
            image=torch.from_numpy(self.image[low:high] - first),
            ignore=torch.from_numpy(self.crowd[low:high]),
            batch_size=last - first,
        )


def pack(records: Sequence[Record]) -> Objects:
    """The objects of ``records`` in pixels of the original images."""
    count = [len(record.boxes) for record in records]
    empty = [np.zeros((0, 4), np.float32)]
    return Objects(
        xyxy=np.concatenate(empty + [r.boxes.reshape(-1, 4) for r in records]).astype(np.float32),
        label=np.concatenate([np.zeros(0, np.int64), *(r.labels for r in records)]),
        crowd=np.concatenate([np.zeros(0, bool), *(r.crowd for r in records)]),
        image=np.repeat(np.arange(len(records)), count),
        size=np.array([(r.width, r.height) for r in records], np.float64).reshape(-1, 2),
    )


def as_seen(objects: Objects, image_size: tuple[int, int]) -> Objects:
    """The objects after letterboxing their images into ``image_size`` (H, W), as detectors do."""
    place = partial(letterboxed, size=checked_size(image_size))
    xyxy, _ = boxes_as_seen(objects.xyxy, objects.size[objects.image][:, ::-1], place)
    size = np.tile(np.array(image_size[::-1], np.float64), (len(objects.size), 1))
    return replace(objects, xyxy=xyxy, size=size)


def band_of(root_area: NDArray[np.floating]) -> NDArray[np.int64]:
    """(n,) index into ``BANDS``: COCO's small, medium and large (32 and 96 pixels)."""
    return np.digitize(root_area, _EDGES)


def octave_of(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """(n,) floor of log2: the octave that a size or a ratio falls into."""
    return np.floor(np.log2(np.maximum(values, 1e-6))).astype(np.int64)


def octave_name(octave: int, unit: str = "px") -> str:
    """``16-32 px``; ``1/4-1/2``."""
    low, high = (_power(exponent) for exponent in (octave, octave + 1))
    return f"{low}-{high} {unit}".strip()


def _power(exponent: int) -> str:
    return f"1/{2**-exponent}" if exponent < 0 else f"{2**exponent}"


def most_affected(
    names: Sequence[str], image: NDArray[np.int64], count: int = 5, what: str = "objects"
) -> list[dict[str, object]]:
    """The images that hold most of the objects whose ``image`` (n,) is given, the worst first."""
    if len(image) == 0:
        return []
    number = np.bincount(image, minlength=len(names))
    order = np.argsort(-number, kind="stable")[:count]
    return [{"image": names[i], what: int(number[i])} for i in order if number[i]]
