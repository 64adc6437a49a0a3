"""YOLOv3's layers between backbone and outputs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.blocks import conv_bn


class YoloPyramid(nn.Module):
    """From the coarsest map to the finest: five convolutions, and a copy upsampled for the next.

    Every level goes through 1 x 1, 3 x 3, 1 x 1, 3 x 3, 1 x 1 convolutions of ``width`` and 2
    ``width`` channels, and then one more 3 x 3 to what its output reads. The five's result, at the
    next level's width and twice the size, is put beside the next finer map.

    Maps of ``channels``, finest first, to maps of ``2 * widths`` channels, finest first. A map
    must have twice the cells of the next coarser one, or one less.

    Source: Redmon and Farhadi, arXiv:1804.02767, section 2.3; darknet ``cfg/yolov3.cfg`` with
    channels 256, 512, 1024 and widths 128, 256, 512.
    """

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = tuple(2 * width for width in widths)
        self.gather, self.laterals, self.last = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        coarser = (*widths[1:], None)
        for inputs, width, below in zip(channels, widths, coarser, strict=True):
            if below is not None:
                self.laterals.append(conv_bn(below, width, kernel=1))
                inputs += width
            self.gather.append(_five(inputs, width))
            self.last.append(conv_bn(width, 2 * width))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        out: list[Tensor] = []
        x = self.gather[-1](maps[-1])
        out.append(self.last[-1](x))
        for level in reversed(range(len(maps) - 1)):
            fine = maps[level]
            x = F.interpolate(self.laterals[level](x), scale_factor=2.0)
            x = torch.cat([x[..., : fine.shape[-2], : fine.shape[-1]], fine], 1)
            x = self.gather[level](x)
            out.append(self.last[level](x))
        return out[::-1]


def _five(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(inputs, width, kernel=1),
        conv_bn(width, 2 * width),
        conv_bn(2 * width, width, kernel=1),
        conv_bn(width, 2 * width),
        conv_bn(2 * width, width, kernel=1),
    )
