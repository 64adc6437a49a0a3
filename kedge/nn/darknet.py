"""Darknet-19 and Darknet-53, the backbones of YOLOv2 and YOLOv3."""

from torch import Tensor, nn

from kedge.nn.backbone import channels_at
from kedge.nn.blocks import Residual, conv_bn

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


class Darknet53(nn.Module):
    """The 52 convolutions of Darknet-53 below its classifier.

    Strided convolutions, each followed by 1, 2, 8, 8 and 4 residual blocks. Returns the maps of
    ``strides``, some of 8 (256 channels), 16 (512) and 32 (1024); nothing coarser is computed.

    Source: Redmon and Farhadi, arXiv:1804.02767, table 1; darknet ``cfg/yolov3.cfg``. Deviation:
    batch norm keeps PyTorch's momentum and epsilon.
    """

    def __init__(self, strides: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.channels = channels_at(self, {8: 256, 16: 512, 32: 1024}, self.strides)
        self.stem = conv_bn(3, 32)
        self.stages = nn.ModuleDict()
        for stride, blocks in {2: 1, 4: 2, 8: 8, 16: 8, 32: 4}.items():
            if stride <= max(strides):
                layers = [Residual(32 * stride) for _ in range(blocks)]
                self.stages[str(stride)] = nn.Sequential(
                    conv_bn(16 * stride, 32 * stride, stride=2), *layers
                )

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images), {}
        for stride, stage in self.stages.items():
            x = maps[int(stride)] = stage(x)
        return [maps[stride] for stride in self.strides]
