"""Features of regions, and the layers that read them."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align, roi_pool


class RoIPool(nn.Module):
    """Features (R, C, size, size) of boxes (R, 4) of images (R,), each from the level that fits.

    A box of ``canonical`` pixels a side is read from the map of ``canonical_stride``, one of twice
    the side from the next coarser one, and so on, as far as there are maps. ``kind``: RoIAlign with
    ``sampling`` points a bin and side (0: as many as the bin has cells; ``aligned``: half a pixel
    of shift, as in Detectron2), or the quantised RoIPool of Fast R-CNN. Of maps of one stride the
    first is read.

    Source: Lin et al., arXiv:1612.03144, eq. 1, with torchvision's 1e-6 before the floor; He et
    al., arXiv:1703.06870 (RoIAlign).
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        *,
        size: int = 7,
        kind: Literal["roi_align", "roi_pool"] = "roi_align",
        sampling: int = 2,
        aligned: bool = False,
        canonical: float = 224.0,
        canonical_stride: int = 16,
    ) -> None:
        super().__init__()
        if kind not in ("roi_align", "roi_pool"):
            raise ValueError(f"pool is 'roi_align' or 'roi_pool', got {kind!r}")
        self.strides, self.size, self.kind = tuple(strides), size, kind
        self.sampling, self.aligned = sampling, aligned
        self.canonical, self.canonical_stride = canonical, canonical_stride

    def levels(self, boxes: Tensor) -> Tensor:
        """(R,) index of the map that every box is read from."""
        side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
        wanted = torch.log2(side / self.canonical + 1e-12) + math.log2(self.canonical_stride)
        first, last = (math.log2(stride) for stride in (self.strides[0], self.strides[-1]))
        return (wanted - first + 1e-6).floor().clamp(0.0, last - first).long()  # strides double

    def forward(self, maps: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        rois = torch.cat([image[:, None].to(boxes), boxes], 1)
        level = self.levels(boxes)
        out = maps[0].new_zeros(boxes.shape[0], maps[0].shape[1], self.size, self.size)
        for number, (x, stride) in enumerate(zip(maps, self.strides)):
            mine = (level == number).nonzero()[:, 0]
            wide = torch.promote_types(x.dtype, torch.float32)  # half knows no pixel 301
            x, part = x.to(wide), rois[mine].to(wide)
            if self.kind == "roi_align":
                got = roi_align(x, part, self.size, 1 / stride, self.sampling, self.aligned)
            else:
                got = roi_pool(x, part, self.size, 1 / stride)
            out = out.index_copy(0, mine, got.to(out.dtype))
        return out


class RegionOutputs(nn.Module):
    """The last layers of a second stage: class outputs (R, classes) and codes (R, codes) of vectors
    (R, inputs), initialised as Fast R-CNN's."""

    def __init__(self, inputs: int, *, classes: int, codes: int) -> None:
        super().__init__()
        self.classes, self.codes = nn.Linear(inputs, classes), nn.Linear(inputs, codes)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.codes.weight, std=0.001)
        nn.init.zeros_(self.classes.bias)
        nn.init.zeros_(self.codes.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, codes = self.classes(x), self.codes(x)
        wide = torch.promote_types(logits.dtype, torch.float32)
        return logits.to(wide), codes.to(wide)


class TwoMLP(RegionOutputs):
    """Two hidden layers, then class outputs (R, classes) and codes (R, codes), of features
    (R, C, size, size).

    Source: Lin et al., arXiv:1612.03144; ``dropout`` after both is Fast R-CNN's.
    """

    def __init__(
        self, inputs: int, hidden: int, *, classes: int, codes: int, dropout: float = 0.0
    ) -> None:
        super().__init__(hidden, classes=classes, codes=codes)
        self.fc6, self.fc7 = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(F.relu(self.fc6(features.flatten(1))))
        return super().forward(self.dropout(F.relu(self.fc7(x))))


class BlockMean(RegionOutputs):
    """A block of a backbone on the features (R, C, size, size) of every region, the mean of its
    ``width`` channels, then class outputs (R, classes) and codes (R, codes).

    Source: He et al., arXiv:1512.03385 (conv5 of a ResNet on every region: "C4").
    """

    def __init__(self, block: nn.Module, width: int, *, classes: int, codes: int) -> None:
        super().__init__(width, classes=classes, codes=codes)
        self.block, self.width = block, width

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and len(features) == 0:  # of which batch norm would learn NaN
            return super().forward(features.new_zeros(0, self.width))
        return super().forward(self.block(features).mean((2, 3)))


class ConvMLP(RegionOutputs):
    """``depth`` 3 x 3 convolutions with batch norm and one hidden layer, then class outputs
    (R, classes) and codes (R, codes), of features (R, width, size, size).

    Source: torchvision's v2 recipe, after Li et al., arXiv:2111.11429.
    """

    def __init__(
        self, width: int, hidden: int, *, classes: int, codes: int, depth: int = 4, size: int = 7
    ) -> None:
        super().__init__(hidden, classes=classes, codes=codes)
        layers: list[nn.Module] = []
        for _ in range(depth):
            conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.tower = nn.Sequential(*layers)
        self.fc = nn.Linear(width * size * size, hidden)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(F.relu(self.fc(self.tower(features).flatten(1))))
