"""Transforms of an image and its target, on torchvision.transforms.v2 and tv_tensors.

A target is torchvision's dictionary: `boxes` (n, 4) xyxy pixels, `labels` (n,), `iscrowd` (n,)
bool, `image_id`, and two entries that remember where the pixels came from: `original_size`
(height, width) and `letterbox` (scale_x, scale_y, dx, dy), the map x -> x * scale_x + dx from
the original image to this one; scale_x is negative after a flip. It may have `extremes` (n, 4), the
places of the objects' extreme points on the sides of their boxes (`kedge.data.extremes`).

What is geometric lives in two classes that keep the map: `Fit` (deterministic, so that its
result can be cached) and `RandomPlace`. Any other v2 transform may follow them; one that moves
pixels keeps boxes right but not the map, so use those for training only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from kedge.data.seen import Placement, checked_size, letterboxed

Target = dict[str, Any]
Transform = Callable[[Tensor, Target], tuple[Tensor, Target]]

FILL = 114  # the grey of padding
GREY = (0.299, 0.587, 0.114)


class Fit(v2.Transform):
    """Resize into `size` (H, W), keeping the aspect ratio.

    pad: put the result in the middle of a canvas of exactly `size`. enlarge: also resize images
    that are smaller than `size`. Never random.
    """

    def __init__(self, size: tuple[int, int], pad: bool = True, enlarge: bool = True) -> None:
        super().__init__()
        self.size, self.pad, self.enlarge = checked_size(size), pad, enlarge

    def placement(self, height: int, width: int) -> Placement:
        """What `pixels` does with an image of this size."""
        return letterboxed(height, width, self.size, self.pad, self.enlarge)

    def pixels(self, image: Tensor) -> Tensor:
        """The image alone, resized and padded."""
        return _place(image, self.placement(*image.shape[-2:]))

    def target(self, target: Target, height: int, width: int) -> Target:
        """The target alone, for an image of (height, width) before `pixels`."""
        plan = self.placement(height, width)
        rates = (plan.inner[1] / width, plan.inner[0] / height)
        return _move(target, *rates, plan.dx, plan.dy, plan.outer)

    def forward(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        height, width = image.shape[-2:]
        return self.pixels(image), self.target(target, height, width)


class RandomPlace(v2.Transform):
    """Scale at random, put at a random place of a canvas of `size` (cropped or padded), flip.

    scale: range of the factor on the size at which the whole image fits `within` (H, W), by
    default the canvas; log-uniform.
    flip: probability of a horizontal flip. min_visible: objects of which the crop leaves a
    smaller share, and objects under one pixel wide or high, become crowd regions: they are
    neither a fair object nor background. What lies wholly outside is removed.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scale: tuple[float, float] = (0.8, 1.2),
        flip: float = 0.5,
        min_visible: float = 0.3,
        within: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, not {scale}")
        for name, value in (("flip", flip), ("min_visible", min_visible)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        self.size, self.scale = checked_size(size), scale
        self.within = self.size if within is None else checked_size(within)
        self.flip, self.min_visible = flip, min_visible

    def forward(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        height, width = image.shape[-2:]
        draw = torch.rand(4).tolist()
        low, high = self.scale
        rate = low * (high / low) ** draw[0]
        rate *= min(self.within[0] / height, self.within[1] / width)
        inner = (max(1, round(height * rate)), max(1, round(width * rate)))
        room_y, room_x = self.size[0] - inner[0], self.size[1] - inner[1]
        plan = Placement(inner, self.size, _between(room_x, draw[1]), _between(room_y, draw[2]))
        image = _place(image, plan)
        target = _move(target, inner[1] / width, inner[0] / height, plan.dx, plan.dy, self.size)
        if draw[3] < self.flip:
            image = F.horizontal_flip(image)
            target = _move(target, -1.0, 1.0, self.size[1], 0, self.size)
        return image, _crop(target, self.min_visible)


class ColourJitter(v2.Transform):
    """Brightness, contrast and saturation, each times a random factor of 1 - amount .. 1 + amount.

    The three are linear, so they are one 3 x 3 matrix and one pass over the pixels, a quarter
    of the time of v2.ColorJitter; values are clamped once, at the end, and the order is fixed.
    Hue is left alone: it costs more than all the rest. uint8 or float images of 3 channels.
    """

    def __init__(self, amount: float = 0.2) -> None:
        super().__init__()
        if not 0 <= amount < 1:
            raise ValueError(f"amount must be at least 0 and below 1, not {amount}")
        self.amount = amount

    def forward(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        factors = 1 + self.amount * (2 * torch.rand(3) - 1)
        return tv_tensors.Image(colour(image.as_subclass(Tensor), *factors.tolist())), target


def colour(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """(3, H, W), uint8 or float in [0, 1]: brightness, then contrast about the mean grey, then
    saturation; as torchvision's adjust_* functions do, clamped once at the end."""
    grey = torch.tensor(GREY)
    top = 255.0 if image.dtype == torch.uint8 else 1.0
    sample = image[:, ::4, ::4].float()  # a mean needs no more pixels
    mean = brightness * float(sample.mean(dim=(1, 2)) @ grey)
    matrix = brightness * contrast * (saturation * torch.eye(3) + (1 - saturation) * grey)
    shift = (1 - contrast) * mean
    if image.dtype == torch.uint8:
        shift += 0.5  # the cast below cuts off
    flat = image.reshape(3, -1).float()
    out = torch.addmm(torch.full((3, 1), shift), matrix, flat).clamp_(0, top)
    return out.to(image.dtype).reshape(image.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """`fit`, whose result a data set may cache, then the transforms that differ every time."""

    fit: Fit
    rest: tuple[Transform, ...] = ()

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        image, target = self.fit(image, target)
        for transform in self.rest:
            image, target = transform(image, target)
        return image, target


def train_transforms(
    size: tuple[int, int],
    *,
    flip: float = 0.5,
    scale: tuple[float, float] = (0.8, 1.2),
    min_visible: float = 0.3,
    colour: float = 0.2,
    crop: tuple[int, int] | None = None,
) -> Pipeline:
    """Random scale, place (crop or pad), horizontal flip and colours, on a canvas of `size` (H, W),
    or on one of `crop` (H, W), with the image as large as `size` makes it.

    Images are first shrunk to what the largest scale needs, and never enlarged before the one
    random resize. scale=(1, 1), flip=0, colour=0 still places the image at random where its
    aspect ratio leaves room. See `RandomPlace` and `ColourJitter`.
    """
    room = max(1.0, scale[1])
    canvas = size if crop is None else crop
    place = RandomPlace(canvas, scale=scale, flip=flip, min_visible=min_visible, within=size)
    rest: list[Transform] = [place]
    if colour:
        rest.append(ColourJitter(colour))
    largest = (round(size[0] * room), round(size[1] * room))
    return Pipeline(fit=Fit(largest, pad=False, enlarge=False), rest=tuple(rest))


def eval_transforms(size: tuple[int, int]) -> Pipeline:
    """Letterbox to `size` (H, W): the whole image, its aspect ratio kept, in the middle."""
    return Pipeline(fit=Fit(size))


def to_original(boxes: Tensor, target: Target, clip: bool = True) -> Tensor:
    """Boxes (n, 4) xyxy of a transformed image, back in the pixels of the original one.

    `target` needs `letterbox` and `original_size`. clip: cut off what lies outside the original.
    """
    scale_x, scale_y, dx, dy = (float(value) for value in target["letterbox"])
    height, width = (int(side) for side in target["original_size"])
    x = (boxes[..., 0::2] - dx) / scale_x
    y = (boxes[..., 1::2] - dy) / scale_y
    x, y = x.sort(dim=-1).values, y.sort(dim=-1).values  # a flip swaps left and right
    if clip:
        x, y = x.clamp(0, width), y.clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def from_original(boxes: Tensor, target: Target, size: tuple[int, int]) -> Tensor:
    """Boxes (n, 4) xyxy of the original image, in the pixels of the transformed one of `size` (H,
    W): the inverse of `to_original`, by the same `letterbox`.

    They are cut off at the image; those of which less than a pixel a side is left are gone.
    """
    scale_x, scale_y, dx, dy = target["letterbox"].tolist()
    moved = _move({**target, "boxes": boxes}, scale_x, scale_y, dx, dy, size)["boxes"]
    moved = moved.as_subclass(Tensor).clamp(min=0)
    moved = torch.minimum(moved, moved.new_tensor([size[1], size[0]] * 2))
    return moved[(moved[:, 2:] - moved[:, :2] >= 1).all(1)]


def _between(room: int, where: float) -> int:
    """An offset: where there is room, anywhere in it; where there is too little, a crop."""
    return min(0, room) + int(where * (abs(room) + 1))


def _place(image: Tensor, plan: Placement) -> Tensor:
    if tuple(image.shape[-2:]) != plan.inner:
        image = F.resize(image, list(plan.inner), antialias=True)
    if plan.inner == plan.outer and plan.dx == plan.dy == 0:
        return tv_tensors.Image(image)
    plain = image.as_subclass(Tensor)
    fill = FILL if image.dtype == torch.uint8 else FILL / 255
    canvas = torch.full((image.shape[0], *plan.outer), fill, dtype=image.dtype)
    (y, from_y, rows), (x, from_x, columns) = (
        (max(0, at), max(0, -at), min(outer - max(0, at), inner - max(0, -at)))
        for at, outer, inner in zip((plan.dy, plan.dx), plan.outer, plan.inner, strict=True)
    )
    part = plain[:, from_y : from_y + rows, from_x : from_x + columns]
    canvas[:, y : y + rows, x : x + columns] = part
    return tv_tensors.Image(canvas)


def _move(
    target: Target, scale_x: float, scale_y: float, dx: float, dy: float, size: tuple[int, int]
) -> Target:
    """The target after x -> x * scale_x + dx, y -> y * scale_y + dy. Boxes are not cut off."""
    rate, shift = torch.tensor([scale_x, scale_y] * 2), torch.tensor([dx, dy] * 2)
    boxes = target["boxes"].as_subclass(Tensor) * rate + shift
    if scale_x < 0:
        boxes = boxes[:, [2, 1, 0, 3]]
    old = target["letterbox"]
    letterbox = torch.cat([old[:2] * rate[:2], old[2:] * rate[:2] + shift[:2]])
    moved = {**target, "boxes": as_boxes(boxes, size), "letterbox": letterbox}
    if "extremes" in target:
        places = target["extremes"] * rate + shift
        moved["extremes"] = places[:, [0, 3, 2, 1]] if scale_x < 0 else places
    return moved


def _crop(target: Target, min_visible: float) -> Target:
    """Cut boxes at the canvas; remove what lies outside, set aside what is hardly visible. Extreme
    points that are cut off go to the nearest place of the box that is left, as ExtremeNet's do."""
    whole = target["boxes"].as_subclass(Tensor)
    height, width = target["boxes"].canvas_size
    cut = torch.minimum(whole.clamp(min=0), whole.new_tensor([width, height] * 2))
    side, full = cut[:, 2:] - cut[:, :2], whole[:, 2:] - whole[:, :2]
    keep = (side > 0).all(dim=1)
    fair = (side.prod(1) >= min_visible * full.prod(1)) & (side >= 1).all(dim=1)
    left = {
        **target,
        "boxes": as_boxes(cut[keep], (height, width)),
        "labels": target["labels"][keep],
        "iscrowd": (target["iscrowd"] | ~fair)[keep],
    }
    if "extremes" in target:
        sides = cut[:, [0, 1, 0, 1]], cut[:, [2, 3, 2, 3]]
        left["extremes"] = target["extremes"].clamp(*sides)[keep]
    return left


def as_boxes(boxes: Tensor, size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    """Boxes that v2 transforms know as such, on a canvas of `size` (H, W)."""
    make: Any = tv_tensors.BoundingBoxes  # its stub hides the keyword arguments
    return make(boxes, format="XYXY", canvas_size=size)
