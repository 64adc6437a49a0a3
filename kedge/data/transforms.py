"""Transforms of an image and its target, on torchvision.transforms.v2 and tv_tensors."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Target = dict[str, Any]
Transform = Callable[[Tensor, Target], tuple[Tensor, Target]]


def train_transforms(
    size: tuple[int, int],
    *,
    flip: float = 0.5,
    scale: tuple[float, float] = (0.8, 1.2),
    colour: float = 0.2,
) -> Transform:
    raise NotImplementedError


def eval_transforms(size: tuple[int, int]) -> Transform:
    raise NotImplementedError


def to_original(boxes: Tensor, target: Target, clip: bool = True) -> Tensor:
    raise NotImplementedError
