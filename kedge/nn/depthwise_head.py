"""A head of depthwise convolutions whose classes and boxes share their features."""

import torch
from torch import Tensor, nn

from kedge.nn.blocks import depthwise
from kedge.nn.heads import prior_bias, rows


class DepthwiseHead(nn.Module):
    """On every level ``depth`` depthwise separable convolutions, then one of 1 x 1 to classes and
    codes.

    Maps (B, width, H, W) of ``levels`` levels, each with layers of its own, to logits (B, N,
    outputs) and codes (B, N, code_size): one anchor a cell in the order level, y, x. ``prior``:
    what the untrained classes say.

    Source: NanoDet-Plus's head (no paper).
    """

    def __init__(
        self,
        width: int,
        *,
        levels: int,
        outputs: int,
        code_size: int,
        depth: int = 2,
        kernel: int = 5,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        self.split = (outputs, code_size)
        self.towers = nn.ModuleList(
            nn.Sequential(*[depthwise(width, width, kernel) for _ in range(depth)])
            for _ in range(levels)
        )
        self.outputs = nn.ModuleList(nn.Conv2d(width, sum(self.split), 1) for _ in range(levels))
        for layer in self.outputs:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            nn.init.constant_(layer.bias[:outputs], prior_bias(prior))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        each = zip(self.outputs, self.towers, maps, strict=True)
        said = torch.cat([rows(last(tower(x)), 1) for last, tower, x in each], 1)
        logits, codes = said.split(self.split, -1)
        return logits, codes
