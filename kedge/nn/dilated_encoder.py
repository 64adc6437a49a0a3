"""YOLOF's encoder: one map, and blocks of growing dilation that see objects of every size on it."""

from torch import Tensor, nn


def conv_relu(inputs: int, outputs: int, *, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the size stays."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class DilatedBlock(nn.Module):
    """``x`` plus 1 x 1, dilated 3 x 3 and 1 x 1 convolutions of it, with ``middle`` channels."""

    def __init__(self, width: int, middle: int, dilation: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_relu(width, middle, kernel=1),
            conv_relu(middle, middle, kernel=3, dilation=dilation),
            conv_relu(middle, width, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x)


class DilatedEncoder(nn.Module):
    """(B, inputs, H, W) to (B, width, H, W): a 1 x 1 and a 3 x 3 convolution with batch norm, then
    a block for each of ``dilations``, with a quarter of the channels inside.

    Source: Chen et al., arXiv:2103.09460, section 4.1; width 512.
    """

    def __init__(
        self, inputs: int, width: int, *, dilations: tuple[int, ...] = (2, 4, 6, 8)
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(inputs, width, 1),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.blocks = nn.Sequential(
            *[DilatedBlock(width, max(width // 4, 1), d) for d in dilations]
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.project(x))
