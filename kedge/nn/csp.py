"""Cross stage partial layers: half of the channels goes through the blocks, half around them."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def conv_silu(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, batch norm, SiLU; (B, inputs, H, W) to (B, outputs, H', W').

    H' is ceil(H / stride). Batch norm has the momentum and epsilon of YOLOX and RTMDet.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03, eps=0.001),
        nn.SiLU(inplace=True),
    )


class Block(nn.Module):
    """Two convolutions at one width, added to their input with ``residual``.

    1 x 1 then 3 x 3 (YOLOX); ``large``: 3 x 3 then a depthwise 5 x 5 with its 1 x 1 (RTMDet).
    """

    def __init__(self, channels: int, *, residual: bool = True, large: bool = False) -> None:
        super().__init__()
        same = partial(conv_silu, channels, channels)
        if large:
            layers = [same(kernel=3), same(kernel=5, groups=channels), same(kernel=1)]
        else:
            layers = [same(kernel=1), same(kernel=3)]
        self.convs, self.residual = nn.Sequential(*layers), residual

    def forward(self, x: Tensor) -> Tensor:
        out = self.convs(x)
        return x + out if self.residual else out


class ChannelAttention(nn.Module):
    """Every channel times a hard sigmoid of a 1 x 1 convolution of the spatial means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.hardsigmoid(self.conv(x.mean((2, 3), keepdim=True)))


class CSPLayer(nn.Module):
    """``blocks`` blocks on half of the channels, the other half as it is, both mixed by a 1 x 1.

    (B, inputs, H, W) to (B, outputs, H, W). ``attention`` weighs the channels before the mixing.

    Source: Wang et al., arXiv:1911.11929; Ge et al., arXiv:2107.08430 (YOLOX); Lyu et al.,
    arXiv:2212.07784, section 3.1 (``large`` blocks and attention).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        blocks: int,
        block: Callable[[int], nn.Module],
        attention: bool = False,
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.main = nn.Sequential(
            conv_silu(inputs, half, kernel=1), *[block(half) for _ in range(blocks)]
        )
        self.short = conv_silu(inputs, half, kernel=1)
        self.attention = ChannelAttention(2 * half) if attention else nn.Identity()
        self.mix = conv_silu(2 * half, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.attention(torch.cat([self.main(x), self.short(x)], 1)))


class SpatialPool(nn.Module):
    """The map beside its maxima over 5 x 5, 9 x 9 and 13 x 13 cells, mixed; the width stays.

    Source: the SPP block of YOLOX and RTMDet.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = conv_silu(channels, channels // 2, kernel=1)
        self.pools = nn.ModuleList([nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13)])
        self.mix = conv_silu(4 * (channels // 2), channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return self.mix(torch.cat([x, *(pool(x) for pool in self.pools)], 1))
