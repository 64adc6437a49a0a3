"""A backbone small enough to train from scratch on a CPU in minutes."""

from torch import Tensor, nn

from kedge.nn.backbone import channels_at
from kedge.nn.blocks import Residual, conv_bn


class Tiny(nn.Module):
    """Five strided convolutions with residual blocks from stride 8 on.

    Returns the maps of ``strides``, some of 4 (the stem's), 8, 16 and 32, with ``2 w``, ``4 w``,
    ``8 w`` and ``8 w`` channels for ``width`` w; nothing coarser is computed. A map of stride s has
    ``ceil(side / s)`` cells for any image side. ``depth`` residual blocks follow each strided
    convolution from stride 8 on.
    """

    def __init__(
        self, width: int = 16, depth: int = 1, strides: tuple[int, ...] = (8, 16, 32)
    ) -> None:
        super().__init__()
        if width < 2 or depth < 0:
            raise ValueError(f"Tiny needs width >= 2 and depth >= 0, got {width} and {depth}")
        available = {4: 2 * width, 8: 4 * width, 16: 8 * width, 32: 8 * width}
        self.strides = tuple(strides)
        self.channels = channels_at(self, available, self.strides)
        self.stem = nn.Sequential(conv_bn(3, width, stride=2), conv_bn(width, 2 * width, stride=2))
        self.stages = nn.ModuleDict()
        inputs = 2 * width
        for stride, outputs in available.items():
            if 4 < stride <= max(strides):
                blocks = [Residual(outputs) for _ in range(depth)]
                self.stages[str(stride)] = nn.Sequential(
                    conv_bn(inputs, outputs, stride=2), *blocks
                )
                inputs = outputs

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images * 4 - 2)  # about zero mean and unit variance for photographs
        maps = {4: x}
        for stride, stage in self.stages.items():
            x = maps[int(stride)] = stage(x)
        return [maps[stride] for stride in self.strides]
