"""R-FCN's second stage: maps that each know one part of an object, and a vote over the parts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import ps_roi_pool


class PositionMaps(nn.Module):
    """What every one of ``size`` x ``size`` parts of a region says: (R, classes + codes, size,
    size) for boxes (R, 4) of images (R,).

    ``block`` works on the one map of stride ``stride``, ``reduce`` (1 x 1, ``width`` channels) on
    what it gives, then 1 x 1 convolutions make ``size ** 2`` maps of every output. The part in row
    i and column j of a region is the mean of its own maps there: channel (output * size + i) * size
    + j. All of that is shared by the regions, so that a region costs next to nothing.

    Source: Dai et al., arXiv:1605.06409, section 3; Gaussian initialisation of 0.01.
    """

    def __init__(
        self,
        block: nn.Module,
        inputs: int,
        width: int,
        *,
        classes: int,
        codes: int,
        size: int = 7,
        stride: int = 16,
    ) -> None:
        super().__init__()
        self.block, self.size, self.stride = block, size, stride
        self.reduce = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True))
        self.classes = nn.Conv2d(width, classes * size**2, 1)
        self.codes = nn.Conv2d(width, codes * size**2, 1)
        for layer in (self.reduce[0], self.classes, self.codes):
            nn.init.normal_(layer.weight, std=0.01)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        x = self.reduce(self.block(maps[0]))
        rois = torch.cat([image[:, None].to(boxes), boxes], 1)
        parts = []
        for layer in (self.classes, self.codes):
            y = F.pad(layer(x), (0, 1, 0, 1))  # torchvision leaves out the last row and column
            y = y.to(torch.promote_types(y.dtype, torch.float32))
            parts.append(ps_roi_pool(y, rois.to(y), self.size, 1 / self.stride))
        return torch.cat(parts, 1)


class Vote(nn.Module):
    """The mean over the parts of a region: (R, classes + codes, k, k) to (R, classes) and
    (R, codes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        said = parts.mean((2, 3))
        return said[:, : self.classes], said[:, self.classes :]
