"""Darknet-19, YOLOv2's backbone."""

from torch import Tensor, nn

from kedge.nn.backbone import channels_at
from kedge.nn.blocks import conv_bn

# (kernel, channels) of every stage; a 2 x 2 max pool stands between stages.
_STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((3, 32),),
    ((3, 64),),
    ((3, 128), (1, 64), (3, 128)),
    ((3, 256), (1, 128), (3, 256)),
    ((3, 512), (1, 256), (3, 512), (1, 256), (3, 512)),
    ((3, 1024), (1, 512), (3, 1024), (1, 512), (3, 1024)),
)


class Darknet19(nn.Module):
    """The 18 convolutions of Darknet-19 below its classifier.

    Returns the maps of ``strides``, some of 8 (256 channels), 16 (512) and 32 (1024); nothing
    coarser is computed. Sides must be multiples of the coarsest for the maps to line up; detectors
    pad.

    Source: Redmon and Farhadi, arXiv:1612.08242, table 6; darknet ``cfg/yolov2.cfg``. Deviation:
    batch norm keeps PyTorch's momentum and epsilon.
    """

    def __init__(self, strides: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.channels = channels_at(self, {8: 256, 16: 512, 32: 1024}, self.strides)
        self.stages = nn.ModuleList()
        inputs = 3
        for number, stage in enumerate(_STAGES):
            if 2**number > max(strides):
                break
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if number else []
            for kernel, outputs in stage:
                layers.append(conv_bn(inputs, outputs, kernel=kernel))
                inputs = outputs
            self.stages.append(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = {}
        for number, stage in enumerate(self.stages):
            images = maps[2**number] = stage(images)
        return [maps[stride] for stride in self.strides]
