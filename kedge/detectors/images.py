"""Images of several sizes to one batch, and the checks on what a detector is given."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kedge.counted import count
from kedge.types import Targets

_READ = ("boxes", "labels", "iscrowd", "extremes")
_OTHERS = ("image_id", "area", "masks", "keypoints", "size")  # torchvision's, not read here
_SLACK = 0.01  # resampling and colour jitter may overshoot by a little
PADDING = 114 / 255  # the grey that letterboxing uses too


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """(B, 3, H, W) with grey at the right and the bottom, sides rounded up to ``multiple``."""
    down, right = (-side % multiple for side in images.shape[-2:])
    if down == right == 0:
        return images
    return nn.functional.pad(images, (0, right, 0, down), value=PADDING)


def check_side(images: Tensor, side: int | None) -> None:
    """``ValueError`` unless a batch (B, 3, H, W) is ``side`` high and wide; None: any will do."""
    if side is not None and images.shape[-2:] != (side, side):
        height, width = images.shape[-2:]
        raise ValueError(
            f"this network is made for images of {side} x {side} pixels; smaller ones are padded, "
            f"but these are {height} x {width} now: resize them (image_size: [{side}, {side}])"
        )


def batch_images(
    images: Sequence[Tensor] | Tensor,
    *,
    smallest: int,
    multiple: int = 1,
    fill: float | Sequence[float] = PADDING,
) -> tuple[Tensor, Tensor]:
    """One batch (B, 3, H, W) and the size (B, 2) of every image, height then width.

    Images are padded with ``fill``, grey, at the right and the bottom to the largest height and
    width, rounded up to ``multiple``; boxes keep their coordinates. A tensor (B, 3, H, W) is passed
    on as it is.

    Raises ``ValueError`` naming an image that is not a float (3, H, W) of values in [0, 1], or has
    a side below ``smallest``, one cell of the detector's finest level.
    """
    check_images(images)
    for number, image in enumerate(images):
        if min(image.shape[1:]) < smallest:
            raise ValueError(
                f"image {number} has {image.shape[1]} x {image.shape[2]} pixels, less than one "
                f"cell of the detector's finest level ({smallest} x {smallest}): enlarge it"
            )
    sizes = image_sizes(images)
    if isinstance(images, Tensor):
        return images, sizes
    height, width = (-(-side // multiple) * multiple for side in sizes.amax(0).tolist())
    colour = torch.as_tensor(fill).to(images[0]).view(-1, 1, 1)
    batch = colour.expand(3, height, width).repeat(len(images), 1, 1, 1)
    for row, image in zip(batch, images):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch, sizes


def image_sizes(images: Sequence[Tensor] | Tensor) -> Tensor:
    """(B, 2) height and width of every image."""
    return torch.tensor([image.shape[-2:] for image in images], device=images[0].device)


def check_images(images: Sequence[Tensor] | Tensor) -> None:
    """``ValueError`` naming the first image that is not a float (3, H, W) of values in [0, 1]."""
    if len(images) == 0:
        raise ValueError("images: the batch is empty; a detector needs at least one image")
    for number, image in enumerate(images):
        if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
            raise ValueError(
                f"image {number}: expected a float tensor (3, H, W) in [0, 1], got "
                f"{image.dtype} of shape {tuple(image.shape)}"
            )
        check_range(image, f"image {number}")


def check_range(image: Tensor, what: str) -> None:
    """``ValueError`` naming the image as ``what`` unless its values are in [0, 1], or nearly."""
    low, high = (float(value) for value in image.detach().aminmax())
    said = f"values from {low:.4g} to {high:.4g}"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{what} holds NaN or infinite values: it has {said}")
    if low < -_SLACK or high > 1 + _SLACK:
        raise ValueError(
            f"{what} has {said}: divide bytes by 255; a detector takes [0, 1] and normalises "
            "colours itself"
        )


def pack_targets(targets: Sequence[Mapping[str, Any]], batch_size: int) -> Targets:
    """torchvision's target dictionaries as ``Targets``.

    Raises ``ValueError`` unless there is one per image, each with ``boxes`` and ``labels``; a key
    that is nearly one of those read (``label``, ``is_crowd``) is named, others are left alone.
    """
    if len(targets) != batch_size:
        raise ValueError(
            f"got {count(batch_size, 'image')} but {count(len(targets), 'target')}: one per image"
        )
    for number, target in enumerate(targets):
        for key in target.keys() - {*_READ, *_OTHERS}:
            close = difflib.get_close_matches(str(key).lower(), _READ, n=1, cutoff=0.7)
            if close and close[0] not in target:
                raise ValueError(
                    f"target of image {number} has {key!r}: is {close[0]!r} meant? That is the key "
                    "that is read"
                )
        for key in ("boxes", "labels"):
            if key not in target:
                raise ValueError(f"target of image {number} has no {key!r}, only {sorted(target)}")
    return Targets.from_list(targets)


def check_labels(targets: Targets, num_classes: int) -> None:
    """``ValueError`` naming image and object of the first label that is not a class."""
    bad = targets.labels >= num_classes
    if not bool(bad.any()):
        return
    row = int(bad.nonzero()[0, 0])
    image, label = int(targets.image[row]), int(targets.labels[row])
    raise ValueError(
        f"image {image}, object {row - int(targets.first[image])}: label {label}, but the "
        f"detector has {count(num_classes, 'class', 'classes')}; labels are 0-based, without a "
        "background class"
    )


def sizes_of(images: Tensor, sizes: Tensor | None) -> Tensor:
    """``sizes`` (B, 2) of a batch (B, 3, H, W), by default its own height and width."""
    if sizes is not None:
        return sizes
    return torch.tensor([images.shape[-2:]] * len(images), device=images.device)
