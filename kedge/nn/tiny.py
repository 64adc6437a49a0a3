"""A backbone small enough to train from scratch on a CPU in minutes."""

from torch import Tensor, nn

from kedge.nn.blocks import Residual, conv_bn


class Tiny(nn.Module):
    """Five strided convolutions with residual blocks below stride 8.

    Returns the maps of stride 8, 16 and 32 with ``4 w``, ``8 w`` and ``8 w`` channels for ``width``
    w. A map of stride s has ``ceil(side / s)`` cells for any image side, so no padding is needed.
    ``depth`` residual blocks follow each of the strides 8, 16 and 32.
    """

    def __init__(self, width: int = 16, depth: int = 1) -> None:
        super().__init__()
        if width < 2 or depth < 0:
            raise ValueError(f"Tiny needs width >= 2 and depth >= 0, got {width} and {depth}")
        self.channels = (4 * width, 8 * width, 8 * width)
        self.strides = (8, 16, 32)
        self.stem = nn.Sequential(
            conv_bn(3, width, stride=2), conv_bn(width, 2 * width, stride=2)
        )
        self.stages = nn.ModuleList()
        inputs = 2 * width
        for outputs in self.channels:
            blocks = [Residual(outputs) for _ in range(depth)]
            self.stages.append(nn.Sequential(conv_bn(inputs, outputs, stride=2), *blocks))
            inputs = outputs

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images * 4 - 2)  # about zero mean and unit variance for photographs
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
