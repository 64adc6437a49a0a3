"""Features of boxes as DeNet reads them: samples at a grid of points, and the box's sides."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kedge.nn.roi import RegionOutputs


class GridSample(nn.Module):
    """The first map's features at ``size`` x ``size`` points of each box (R, 4) of image (R,), each
    of the nearest cell, then the box's width and height as shares of the map's: (R, size size C +
    2). Points stand in the middles of equal parts of the box.

    Source: Tychsen-Smith and Petersson, arXiv:1703.10295, section 3.2.
    """

    def __init__(self, stride: float, size: int = 7) -> None:
        super().__init__()
        self.stride, self.size = stride, size

    def forward(self, maps: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        features = maps[0]
        steps = (torch.arange(self.size, device=boxes.device) + 0.5) / self.size
        extent = torch.tensor(features.shape[:1:-1], device=boxes.device)  # columns, rows
        place = boxes[:, :2, None] + (boxes[:, 2:] - boxes[:, :2])[..., None] * steps
        cell = torch.minimum((place / self.stride).long().clamp(min=0), extent[:, None] - 1)
        x, y = cell[:, 0], cell[:, 1]
        found = features[image[:, None, None], :, y[:, :, None], x[:, None, :]]
        side = (boxes[:, 2:] - boxes[:, :2]) / (self.stride * extent)
        return torch.cat([found.flatten(1), side.to(found)], 1)


class DeepMLP(RegionOutputs):
    """Hidden layers with batch norm, then class outputs (R, classes) and codes (R, codes) of
    vectors (R, inputs). Source: arXiv:1703.10295, table 1."""

    def __init__(self, inputs: int, hidden: Sequence[int], *, classes: int, codes: int) -> None:
        super().__init__(hidden[-1], classes=classes, codes=codes)
        layers: list[nn.Module] = []
        for wide in hidden:
            layers += [nn.Linear(inputs, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU()]
            inputs = wide
        self.hidden = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(self.hidden(features))
