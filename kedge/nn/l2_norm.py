"""L2 normalisation of features, with a learned scale."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class L2Norm(nn.Module):
    """The features of every cell of (B, C, H, W) divided by their length, times a learned scale for
    each channel, ``scale`` at first. A cell of zeros stays so.

    Source: Liu et al., arXiv:1512.02325, section 3.1 (conv4_3, scale 20); arXiv:1506.04579.
    """

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight[:, None, None] * F.normalize(x)
