"""From an image as people have it to what a detector finds in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kedge.detectors.pictures import extra, read_picture
from kedge.types import Detections

Detect = Callable[[list[Tensor]], list[dict[str, Tensor]]]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def detect_in(
    detect: Detect,
    image: Any,
    *,
    input_size: tuple[int, int] | None,
    device: torch.device,
    min_score: float | None,
) -> tuple[Detections, Tensor]:
    """What ``detect`` finds in one image, boxes in its own pixels, and the image (3, H, W) uint8.

    ``input_size`` (H, W): the image is letterboxed into it; None leaves it as large as it is.
    """
    picture = read_picture(image)
    pixels, back = (picture, _same) if input_size is None else _letterboxed(picture, input_size)
    pixels = pixels.to(device)
    pixels = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
    row = {key: value.cpu() for key, value in detect([pixels])[0].items()}
    row["boxes"] = back(row["boxes"])
    if min_score is not None:
        good = row["scores"] >= min_score
        row = {key: value[good] for key, value in row.items()}
    if picture.dtype != torch.uint8:
        picture = (picture * 255).round().to(torch.uint8)
    return Detections.from_list([row]), picture


def _same(boxes: Tensor) -> Tensor:
    return boxes


def _letterboxed(
    picture: Tensor, input_size: tuple[int, int]
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The picture within (H, W), and how its boxes come back: as evaluation does both."""
    with extra("data", "letterboxing"):
        from kedge.data.transforms import Fit, to_original
    fit, (height, width) = Fit(input_size), picture.shape[-2:]
    whole = {"boxes": torch.zeros(0, 4), "letterbox": torch.tensor([1.0, 1.0, 0.0, 0.0])}
    placed = fit.target(whole, height, width) | {"original_size": (height, width)}
    return fit.pixels(picture).as_subclass(Tensor), lambda boxes: to_original(boxes, placed)
