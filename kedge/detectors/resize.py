"""Resize: images of any size as the batch that a detector's weights were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from torch import Tensor
from torch.nn.functional import interpolate

from kedge.detectors.images import batch_images, check_images
from kedge.types import Detections, Targets

Rows = TypeVar("Rows", Targets, Detections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Resizes each image, then pads it at the right and the bottom to the size of the batch.

    ``short``, ``long``: the short side becomes ``short`` pixels, or as many as leave the long one
    at ``long`` or below; sides are cut to whole pixels. ``size`` (H, W) instead: just that,
    whatever the aspect ratio. ``multiple``: what the sides of the batch are multiples of.
    ``fill``: the colour of the padding, in [0, 1].

    Bilinear, without antialiasing. Raises ``ValueError`` unless either ``size`` or both sides are
    given, in whole pixels.

    Source: torchvision's ``GeneralizedRCNNTransform``. Deviation: colours are normalised after the
    resize and the padding, which for a ``fill`` of the mean is the same but for rounding.
    """

    short: int | None = None
    long: int | None = None
    size: tuple[int, int] | None = None
    multiple: int = 1
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        sides = (self.short, self.long) if self.size is None else self.size
        if (self.size is not None and (self.short or self.long)) or len(sides) != 2:
            raise ValueError("Resize takes either size=(H, W), or short= and long=")
        if not all(isinstance(side, int) and side >= 1 for side in (*sides, self.multiple)):
            raise ValueError(f"Resize takes whole pixels: {sides}, multiple {self.multiple}")

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of an image of so many rows and columns after resizing."""
        if self.size is not None:
            return self.size
        assert self.short is not None
        assert self.long is not None
        rate = min(self.short / min(height, width), self.long / max(height, width))
        return max(1, int(height * rate)), max(1, int(width * rate))

    def __call__(
        self, images: Sequence[Tensor] | Tensor, *, smallest: int
    ) -> tuple[Tensor, Tensor]:
        """The batch (B, 3, H, W) of images (3, h, w) in [0, 1], and the size (B, 2) of each in it.

        Raises ``ValueError`` as ``batch_images`` does; the side is that of the resized image.
        """
        check_images(images)
        resized = [
            interpolate(image[None], self.size_of(*image.shape[-2:]), mode="bilinear")[0]
            for image in images
        ]
        return batch_images(resized, smallest=smallest, multiple=self.multiple, fill=self.fill)


def rates(old: Tensor, new: Tensor) -> Tensor:
    """(B, 4) what boxes are multiplied by where images of sizes ``old`` (B, 2) get ``new``."""
    return (new.float() / old.float()).flip(1).repeat(1, 2)


def moved(rows: Rows, old: Tensor, new: Tensor) -> Rows:
    """Targets or detections of images of sizes ``old`` (B, 2), in pixels of the same images of
    sizes ``new`` (B, 2); height then width."""
    rate = rates(old, new)[rows.image].to(rows.boxes)
    if isinstance(rows, Targets) and rows.extremes is not None:
        rows = replace(rows, extremes=rows.extremes * rate)
    return replace(rows, boxes=rows.boxes * rate)


class Placed(NamedTuple):
    """Images as a batch: ``images`` (B, 3, H, W), the ``sizes`` (B, 2) of each within it and the
    ``original`` ones; ``targets`` in its pixels, where there are any."""

    images: Tensor
    sizes: Tensor
    original: Tensor
    targets: Targets | None

    def back(self, found: Detections) -> list[dict[str, Tensor]]:
        """What was found in the batch, an image each, in pixels of the original images."""
        return moved(found, self.sizes, self.original).to_list()
