"""The output layers of the SSD family: own ones on every level."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kedge.nn.extended import lite_conv, small_normal_
from kedge.nn.heads import rows


class MultiBoxHead(nn.Module):
    """On every level a convolution to the classes of every shape, and one to their codes.

    Maps of ``channels``, with ``shapes`` anchors a cell, each level its own number, to ``classes``
    outputs (B, N, classes) and ``codes`` (B, N, codes); anchors in the order level, y, x, shape.
    ``lite``: a 3 x 3 convolution in each channel and a 1 x 1, in place of one of 3 x 3.

    Source: Liu et al., arXiv:1512.02325, section 2.1 (Xavier's initialisation); SSDLite: Sandler et
    al., arXiv:1801.04381, section 6.2, and torchvision (Gaussian initialisation of .03).
    """

    def __init__(
        self,
        channels: Sequence[int],
        shapes: Sequence[int],
        *,
        classes: int,
        codes: int,
        lite: bool = False,
    ) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        make = _lite if lite else _plain
        each = list(zip(channels, self.shapes, strict=True))
        self.classes = nn.ModuleList(make(width, count * classes) for width, count in each)
        self.codes = nn.ModuleList(make(width, count * codes) for width, count in each)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self._all(self.classes, maps), self._all(self.codes, maps)

    def _all(self, layers: nn.ModuleList, maps: list[Tensor]) -> Tensor:
        parts = zip(layers, maps, self.shapes, strict=True)
        return torch.cat([rows(layer(x), count) for layer, x, count in parts], 1)


def _plain(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def _lite(inputs: int, outputs: int) -> nn.Module:
    depthwise = lite_conv(inputs, inputs, groups=inputs)
    layers = nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1))
    small_normal_(layers)
    return layers
