"""The layers of Guided Anchoring: where anchors stand, of which shape, and features that fit."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kedge.nn.blocks import output, tower
from kedge.nn.deformable import deformed
from kedge.nn.heads import prior_bias, rows


class GuidedOutputs(NamedTuple):
    """What is said of every cell: class ``logits`` (B, N, C) and box ``codes`` (B, N, D) of its
    anchor, which has the ``shape`` (B, N, 2), logarithms of width and height in those of a square,
    and the ``location`` (B, N), log odds that an anchor is wanted there."""

    logits: Tensor
    codes: Tensor
    shape: Tensor
    location: Tensor


class FeatureAdaption(nn.Module):
    """A 3 x 3 convolution that looks where a cell's anchor is: its taps move with the anchor's
    shape, which learns nothing from it.

    Features (B, width, H, W) and shapes (B, 2, H, W) to features; ``width`` is a multiple of
    ``groups``, whose taps move apart. Source: Wang et al., arXiv:1901.03278, section 3.4.
    """

    def __init__(self, width: int, groups: int = 4) -> None:
        super().__init__()
        if width % groups:
            raise ValueError(f"width {width} must be a multiple of {groups}, the groups of taps")
        self.offsets = nn.Conv2d(2, groups * 18, 1, bias=False)
        self.taps = output(width, width, bias=False)
        nn.init.normal_(self.offsets.weight, std=0.1)

    def forward(self, x: Tensor, shape: Tensor) -> Tensor:
        return deformed(self.taps, x, self.offsets(shape.detach()))


def _point(width: int, outputs: int, prior: float | None = None) -> nn.Conv2d:
    layer = nn.Conv2d(width, outputs, 1)
    nn.init.normal_(layer.weight, std=0.01)
    start = 0.0 if prior is None else prior_bias(prior)
    nn.init.constant_(layer.bias, start)  # pyright: ignore[reportArgumentType]
    return layer


class GuidedRPNLayers(nn.Module):
    """A 3 x 3 convolution, then all four outputs of a cell; shared by all levels.

    Maps (B, width, H, W) to ``GuidedOutputs``, logits of ``outputs`` columns; cells in the order
    level, y, x. ``prior``: what the untrained location says. Source: Wang et al., arXiv:1901.03278,
    section 3.1; MMDetection's GARPNHead.
    """

    def __init__(
        self, width: int, *, outputs: int = 1, code_size: int = 4, prior: float = 0.01
    ) -> None:
        super().__init__()
        self.conv = output(width, width)
        self.location, self.shape = _point(width, 1, prior), _point(width, 2)
        self.adapt = FeatureAdaption(width)
        self.objectness, self.codes = _point(width, outputs), _point(width, code_size)

    def forward(self, maps: list[Tensor]) -> GuidedOutputs:
        return _together([self._level(x) for x in maps])

    def _level(self, x: Tensor) -> GuidedOutputs:
        x = self.conv(x).relu()
        location, shape = self.location(x), self.shape(x)
        x = self.adapt(x, shape)
        return GuidedOutputs(self.objectness(x), self.codes(x), shape, location)


class GuidedSubnets(nn.Module):
    """RetinaNet's two towers of ``depth`` convolutions; the location is read off the class tower,
    the shape off the box tower, and both end in features that fit the shape.

    Maps (B, width, H, W) to ``GuidedOutputs``; cells in the order level, y, x. ``norm``: group norm
    in the towers. ``prior``: what the untrained location and classes say. Source: MMDetection's
    GARetinaHead.
    """

    def __init__(
        self, width: int, outputs: int, *, code_size: int = 4, depth: int = 4, norm: bool = False,
        prior: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        self.class_tower = tower(width, depth, norm=norm, bias=not norm)
        self.box_tower = tower(width, depth, norm=norm, bias=not norm)
        self.location, self.shape = _point(width, 1, prior), _point(width, 2)
        self.adapt_classes, self.adapt_boxes = FeatureAdaption(width), FeatureAdaption(width)
        self.classes = output(width, outputs, start=prior_bias(prior))
        self.codes = output(width, code_size)

    def forward(self, maps: list[Tensor]) -> GuidedOutputs:
        return _together([self._level(x) for x in maps])

    def _level(self, x: Tensor) -> GuidedOutputs:
        classes, boxes = self.class_tower(x), self.box_tower(x)
        location, shape = self.location(classes), self.shape(boxes)
        classes, boxes = self.adapt_classes(classes, shape), self.adapt_boxes(boxes, shape)
        return GuidedOutputs(self.classes(classes), self.codes(boxes), shape, location)


def _together(levels: list[GuidedOutputs]) -> GuidedOutputs:
    """The maps of all levels as rows."""
    columns = (torch.cat([rows(x, 1) for x in column], 1) for column in zip(*levels))
    logits, codes, shape, location = columns
    return GuidedOutputs(logits, codes, shape, location[..., 0])
