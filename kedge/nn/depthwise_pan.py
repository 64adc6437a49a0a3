"""A neck of depthwise convolutions, for processors without an accelerator."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.blocks import conv_bn, depthwise


class DepthwisePAN(nn.Module):
    """Maps of ``channels``, finest first, to maps of ``width`` channels, and one of twice the
    coarsest stride.

    Every map is narrowed by a 1 x 1 convolution; top down each is enlarged to the size of the next
    finer one and mixed with it, bottom up each is halved and mixed with the next coarser one, all
    by depthwise separable convolutions of ``kernel``. The extra map is the sum of the coarsest one
    before and after this, both halved.

    Source: Liu et al., arXiv:1803.01534, with the depthwise convolutions and the extra level of
    NanoDet-Plus. Deviation: one mixing convolution in place of its ghost blocks.
    """

    def __init__(self, channels: tuple[int, ...], width: int, *, kernel: int = 5) -> None:
        super().__init__()
        pairs = list(pairwise(channels))
        self.narrow = nn.ModuleList([conv_bn(inputs, width, kernel=1) for inputs in channels])
        self.down = nn.ModuleList([depthwise(2 * width, width, kernel) for _ in pairs])
        self.up = nn.ModuleList([depthwise(2 * width, width, kernel) for _ in pairs])
        self.halve = nn.ModuleList([depthwise(width, width, kernel, stride=2) for _ in pairs])
        self.extra_in = depthwise(width, width, kernel, stride=2)
        self.extra_out = depthwise(width, width, kernel, stride=2)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        narrow = [layer(x) for layer, x in zip(self.narrow, maps, strict=True)]
        x = narrow[-1]
        inner = [x]
        for mix, fine in zip(self.down, reversed(narrow[:-1])):
            enlarged = F.interpolate(x, size=fine.shape[-2:], mode="bilinear")
            x = mix(torch.cat([enlarged, fine], 1))
            inner.append(x)
        out = [x]
        for halve, mix, coarse in zip(self.halve, self.up, reversed(inner[:-1])):
            out.append(mix(torch.cat([halve(out[-1]), coarse], 1)))
        return [*out, self.extra_in(narrow[-1]) + self.extra_out(out[-1])]
