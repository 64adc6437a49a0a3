"""Explained: what an assignment inside another library's model did, in words and as a picture."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kedge.assign.assignment_report import Report, report
from kedge.types import Assigner, Assignment

if TYPE_CHECKING:
    import PIL.Image


def as_seen(pixels: Tensor, mean: Any, std: Any, red_first: bool) -> Tensor:
    """(B, 3, H, W) in [0, 1], red first, of ``pixels`` with the mean and deviation of colours from
    0 to 255 taken off (None: as they are); blue first unless ``red_first``."""
    if mean is not None and std is not None:
        pixels = pixels * std + mean
    return (pixels if red_first else pixels.flip(1)) / 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """The assignment of a batch: ``print`` it, or save ``picture(image)``.

    Attributes: rule: the strategy that made it; assignment: see there; pixels (B, 3, H, W) in [0,
    1], as the network sees the batch.
    """

    rule: Assigner
    assignment: Assignment
    pixels: Tensor

    @property
    def report(self) -> Report:
        """The numbers."""
        return report(self.assignment)

    def __str__(self) -> str:
        return f"{type(self.rule).__name__}\n{self.report}"

    def of_image(self, image: int) -> Assignment:
        """The part of one image, as an assignment of its own."""
        found, all_ = self.assignment, self.assignment.targets
        if not 0 <= image < all_.batch_size:
            raise ValueError(f"image {image}: the batch has {all_.batch_size} images")
        count = found.shape[1]
        rows = (all_.image == image).nonzero()[:, 0]
        one = replace(
            all_,
            boxes=all_.boxes[rows],
            labels=all_.labels[rows],
            image=torch.zeros_like(rows),
            ignore=all_.ignore[rows],
            extremes=None,  # strategies look at boxes
            batch_size=1,
        )
        part = found.only((found.image == image).nonzero()[:, 0])
        first = image * count
        ignored = found.ignored[(found.ignored >= first) & (found.ignored < first + count)]
        return replace(
            part,
            anchor=part.anchor - first,
            target=part.target - all_.first[image],
            ignored=ignored - first,
            targets=one,
            background_weight=None,
            likelihood=None,
        )

    def picture(self, image: int = 0) -> "PIL.Image.Image":
        """One image with its objects, and the anchors that answer for them. Needs Pillow."""
        from kedge.report import draw_strategies

        found = self.of_image(image)
        assert found.anchors is not None
        pixels = (255 * self.pixels[image].clamp(0, 1)).byte().permute(1, 2, 0).cpu().numpy()
        return draw_strategies(pixels, found.anchors, {type(self.rule).__name__: found})
