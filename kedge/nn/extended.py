"""A backbone with coarser maps behind its last, as the SSD family reads it."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from kedge.nn.backbone import Backbone
from kedge.nn.blocks import CellNorm

Block = Callable[[int, int], nn.Module]
"""From channels of one map and of the next to the layers between them."""


class Extended(nn.Module):
    """The maps of ``backbone``, then one behind another for each of ``blocks``, pairs of its
    channels and of what makes its layers. ``channels`` are those of all maps.
    """

    def __init__(self, backbone: Backbone, blocks: Sequence[tuple[int, Block]]) -> None:
        super().__init__()
        self.backbone = backbone
        self.extra = nn.ModuleList()
        channels = list(backbone.channels)
        for width, block in blocks:
            self.extra.append(block(channels[-1], width))
            channels.append(width)
        self.channels = tuple(channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = list(self.backbone(images))
        for block in self.extra:
            maps.append(block(maps[-1]))
        return maps


def ssd_block(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 2, padding: int = 1
) -> nn.Sequential:
    """SSD's: a 1 x 1 convolution to half the channels, then one that makes the map smaller."""
    squeeze = nn.Conv2d(inputs, outputs // 2, 1)
    shrink = nn.Conv2d(outputs // 2, outputs, kernel, stride, padding)
    for layer in (squeeze, shrink):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(squeeze, nn.ReLU(inplace=True), shrink, nn.ReLU(inplace=True))


def halving_block(inputs: int, outputs: int) -> nn.Sequential:
    """The same with batch norm, to train from scratch; a map of s cells becomes ceil(s / 2)."""
    squeeze = Conv2dNormActivation(inputs, outputs // 2, 1, norm_layer=CellNorm)
    return nn.Sequential(
        squeeze, Conv2dNormActivation(outputs // 2, outputs, stride=2, norm_layer=CellNorm)
    )


def lite_block(inputs: int, outputs: int) -> nn.Sequential:
    """SSDLite's: 1 x 1 to half the channels, 3 x 3 in each channel with stride 2, 1 x 1.

    Source: torchvision ssdlite.py; Sandler et al., arXiv:1801.04381, section 6.2.
    """
    half = outputs // 2
    block = nn.Sequential(
        lite_conv(inputs, half, kernel=1),
        lite_conv(half, half, stride=2, groups=half),
        lite_conv(half, outputs, kernel=1),
    )
    small_normal_(block)
    return block


def lite_conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch norm (epsilon 1e-3, momentum .03), ReLU6."""
    return Conv2dNormActivation(
        inputs, outputs, kernel, stride, groups=groups, norm_layer=lite_norm,
        activation_layer=nn.ReLU6,
    )  # fmt: skip


def lite_norm(channels: int) -> nn.BatchNorm2d:
    """The batch norm of torchvision's SSDLite."""
    return CellNorm(channels, eps=1e-3, momentum=0.03)


def small_normal_(layers: nn.Module) -> None:
    """Draws the convolutions among ``layers`` anew: Gaussians of .03, no bias (torchvision)."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.03)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
