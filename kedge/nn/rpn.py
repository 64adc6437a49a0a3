"""The layers of a region proposal network."""

import torch
from torch import Tensor, nn

from kedge.nn.heads import rows


class RPNLayers(nn.Module):
    """``depth`` 3 x 3 convolutions, then objectness and codes of every shape; shared by all levels.

    Maps of (B, width, H, W) to logits (B, N, ``outputs``) and codes (B, N, ``code_size``): all
    levels, anchors in the order level, y, x, shape.

    Source: Ren et al., arXiv:1506.01497, section 3.1; Gaussian initialisation of 0.01.
    torchvision's v2 recipe has ``depth`` 2.
    """

    def __init__(
        self, width: int, shapes: int, *, outputs: int = 1, code_size: int = 4, depth: int = 1
    ) -> None:
        super().__init__()
        self.shapes = shapes
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.tower = nn.Sequential(*layers)
        self.objectness = nn.Conv2d(width, shapes * outputs, 1)
        self.codes = nn.Conv2d(width, shapes * code_size, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        towers = [self.tower(x) for x in maps]
        logits = torch.cat([rows(self.objectness(x), self.shapes) for x in towers], 1)
        return logits, torch.cat([rows(self.codes(x), self.shapes) for x in towers], 1)
