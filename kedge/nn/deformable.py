"""A 3 x 3 convolution whose taps are moved."""

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from kedge.boxes import at_least_float32


def deformed(layer: nn.Conv2d, features: Tensor, moves: Tensor) -> Tensor:
    """The 3 x 3 convolution of ``layer``, without bias, with its taps moved, then ReLU.

    ``moves`` (B, groups * 18, H, W): dy, dx of the nine taps, in cells, for each group of
    channels of ``features`` (B, C, H, W). In float32 at least.
    """
    features, moves, weight = at_least_float32(features, moves, layer.weight)
    with torch.autocast(features.device.type, enabled=False):
        return deform_conv2d(features, moves, weight, padding=(1, 1)).relu()
