"""The last layers of a detector of points: a map of each kind."""

from collections.abc import Mapping

from torch import Tensor, nn

from kedge.boxes import at_least_float32
from kedge.nn.heads import prior_bias

HEAT_PRIOR = 0.1  # what an untrained heat map says everywhere


class PointMaps(nn.Module):
    """Features (B, width, H, W) to maps by name, each with as many channels as ``outputs`` says: a
    3 x 3 convolution with ReLU, then 1 x 1. Those called "heat" start at a probability of .1.

    Source: Law and Deng, arXiv:1808.01244, section 3.5; the authors' code (bias -2.19).
    """

    def __init__(self, width: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        for name, channels in outputs.items():
            last = nn.Conv2d(width, channels, 1)
            if name == "heat":
                nn.init.constant_(last.bias, prior_bias(HEAT_PRIOR))  # pyright: ignore
            self.layers[name] = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), last
            )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: at_least_float32(layer(x))[0] for name, layer in self.layers.items()}
