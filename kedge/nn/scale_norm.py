"""Batch norm with a scale and without a shift."""

import torch
from torch import Tensor, nn


class ScaleNorm(nn.Module):
    """Normalises every channel of (B, C, H, W), then scales it; there is no shift to learn.

    On the size outputs of a detector it keeps the network from learning what the anchor shape
    should hold: the mean of its residuals log(g / a). ``scale`` is its initial factor: with 1,
    untrained sizes would be wrong by a factor of e in either direction.

    In training the statistics are those of the batch; in evaluation the running ones. Computed in
    float32 or finer whatever autocast says.

    Source: Zhong et al., arXiv:1812.00469 (batch normalization without shift on the size outputs).
    The paper gives no initial scale; 0.1 is ours.
    """

    def __init__(self, channels: int, scale: float = 0.1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):
            return self.norm(x) * self.scale[:, None, None]
