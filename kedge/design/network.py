"""Boxes as the network sees them: after the training recipe's resizing, scaling and cropping."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from kedge.data.seen import Placement, letterboxed
from kedge.data.seen import as_seen as boxes_as_seen
from kedge.design.table import BoxTable


class Resize(Protocol):
    """How an image comes to the network's input size."""

    def place(self, height: int, width: int) -> Placement:
        """Where an image of (height, width) goes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """The largest scale at which the image fits into ``size`` (H, W); padded to it, centred."""

    size: tuple[int, int]

    def place(self, height: int, width: int) -> Placement:
        return letterboxed(height, width, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Both sides to ``size`` (H, W), whatever happens to the aspect ratio (SSD)."""

    size: tuple[int, int]

    def place(self, height: int, width: int) -> Placement:
        del height, width
        return Placement(self.size, self.size, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShorterSide:
    """The shorter side to ``side``, or less where the longer would exceed ``longest``
    (torchvision). Padding comes after the image, so nothing moves.
    """

    side: int = 800
    longest: int = 1333

    def place(self, height: int, width: int) -> Placement:
        rate = min(self.side / min(height, width), self.longest / max(height, width))
        inner = (max(1, round(height * rate)), max(1, round(width * rate)))
        return Placement(inner, inner, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training recipe as far as box sizes go.

    ``resizes``: one, or several of which an image gets each equally often (multi-scale training).
    ``scale``: range of a random factor after it, uniform. ``crop`` (H, W): after scaling up, a
    window of that size at a random place; boxes are cut at its border and dropped when less than
    ``min_visible`` of their area remains. ``passes``: how often every image is drawn, with other
    random choices.
    """

    resizes: tuple[Resize, ...]
    scale: tuple[float, float] = (1.0, 1.0)
    crop: tuple[int, int] | None = None
    min_visible: float = 0.1
    passes: int = 1

    def __post_init__(self) -> None:
        if not self.resizes:
            raise ValueError("resizes: expected at least one")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale: expected 0 < low <= high, got {self.scale}")
        if self.passes < 1:
            raise ValueError(f"passes: expected at least 1, got {self.passes}")


def letterbox(size: int | tuple[int, int]) -> Recipe:
    """Only resizing: the image fitted into ``size`` (a side, or (H, W))."""
    both = (size, size) if isinstance(size, int) else size
    return Recipe(resizes=(Letterbox(size=both),))


def as_seen(table: BoxTable, recipe: Recipe, seed: int = 0) -> BoxTable:
    """The boxes in pixels of the network's input; ``size`` becomes that input's (H, W).

    One choice of resize, scale and crop per image and pass; the same for the same seed. Pass p of
    an image takes the p-th resize after its first, so that ``passes = len(resizes)`` shows every
    image at every size.
    """
    random = np.random.default_rng(seed)
    names, index = np.unique(table.image, return_inverse=True)
    first = random.integers(len(recipe.resizes), size=len(names))
    parts = [_one_pass(table, recipe, index, first, p, random) for p in range(recipe.passes)]
    return BoxTable(
        xyxy=np.concatenate([p.xyxy for p in parts]),
        size=np.concatenate([p.size for p in parts]),
        image=np.concatenate([p.image for p in parts]),
        label=np.concatenate([p.label for p in parts]),
    )


def _one_pass(
    table: BoxTable,
    recipe: Recipe,
    index: np.ndarray,
    first: np.ndarray,
    number: int,
    random: np.random.Generator,
) -> BoxTable:
    choice = (first + number) % len(recipe.resizes)
    xyxy, size = np.empty((len(table), 4), np.float32), np.empty((len(table), 2), np.float32)
    for i, resize in enumerate(recipe.resizes):
        mine = choice[index] == i
        xyxy[mine], size[mine] = boxes_as_seen(table.xyxy[mine], table.size[mine], resize.place)
    factor = random.uniform(*recipe.scale, len(first))[index, None].astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = replace(table, xyxy=xyxy * factor, size=size * factor)
    return seen if recipe.crop is None else _cropped(seen, recipe, index, len(first), random)


def _cropped(
    seen: BoxTable, recipe: Recipe, index: np.ndarray, images: int, random: np.random.Generator
) -> BoxTable:
    assert recipe.crop is not None
    window = np.minimum(np.asarray(recipe.crop, np.float32), seen.size)
    place = random.random((images, 2)).astype(np.float32)[index] * (seen.size - window)
    low, far = place[:, ::-1], window[:, ::-1]  # x, y
    with np.errstate(invalid="ignore"):
        corner = np.clip(seen.xyxy[:, :2] - low, 0, far)
        opposite = np.clip(seen.xyxy[:, 2:] - low, 0, far)
        whole = (seen.xyxy[:, 2:] - seen.xyxy[:, :2]).prod(1)
        left = (opposite - corner).prod(1)
        keep = (left > 0) & (left >= recipe.min_visible * whole)
    cut = replace(seen, xyxy=np.concatenate([corner, opposite], 1), size=window)
    return cut[keep]
