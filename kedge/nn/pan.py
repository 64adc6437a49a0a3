"""Path aggregation: down the pyramid with context, up again with detail."""

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.csp import Block, CSPLayer, conv_silu


class PathAggregation(nn.Module):
    """Maps of ``channels``, finest first, to maps of ``width`` channels of the same sizes.

    Top down, every map is narrowed, doubled in size and mixed with the next finer one by a CSP
    layer of ``blocks`` blocks; bottom up, every result is halved in size and mixed with the next
    coarser one. ``large`` blocks and a last convolution of ``kernel`` 3 are RTMDet's, small ones
    and 1 YOLOX's. A map must have twice the cells of the next coarser one, or one less.

    Source: Liu et al., arXiv:1803.01534; Ge et al., arXiv:2107.08430 (YOLOX); Lyu et al.,
    arXiv:2212.07784 (RTMDet).
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        width: int,
        *,
        blocks: int = 1,
        large: bool = False,
        kernel: int = 1,
    ) -> None:
        super().__init__()
        mix = partial(CSPLayer, blocks=blocks, block=partial(Block, residual=False, large=large))
        pairs = list(pairwise(channels))  # (fine, coarse)
        self.narrow = nn.ModuleList([conv_silu(coarse, fine, kernel=1) for fine, coarse in pairs])
        self.down = nn.ModuleList([mix(2 * fine, fine) for fine, _ in pairs])
        self.stride = nn.ModuleList([conv_silu(fine, fine, stride=2) for fine, _ in pairs])
        self.up = nn.ModuleList([mix(2 * fine, coarse) for fine, coarse in pairs])
        self.out = nn.ModuleList([conv_silu(c, width, kernel=kernel) for c in channels])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        x, narrowed = maps[-1], []
        for level in reversed(range(len(self.down))):
            fine, x = maps[level], self.narrow[level](x)
            narrowed.append(x)
            x = F.interpolate(x, scale_factor=2.0)[..., : fine.shape[-2], : fine.shape[-1]]
            x = self.down[level](torch.cat([x, fine], 1))
        out = [x]
        for level, coarse in enumerate(reversed(narrowed)):
            out.append(self.up[level](torch.cat([self.stride[level](out[-1]), coarse], 1)))
        return [last(x) for last, x in zip(self.out, out)]
