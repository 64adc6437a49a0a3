"""The hourglass: down to the smallest map and up again, several times one after the other."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.blocks import conv_norm


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm and a shortcut; ``stride`` 2 halves the resolution."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_norm(inputs, outputs, stride=stride), conv_norm(outputs, outputs, relu=False)
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = conv_norm(inputs, outputs, kernel=1, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convs(x) + self.shortcut(x))


def _blocks(inputs: int, outputs: int, count: int, *, stride: int = 1) -> nn.Sequential:
    """The first block changes width and resolution."""
    rest = [Block(outputs, outputs) for _ in range(count - 1)]
    return nn.Sequential(Block(inputs, outputs, stride=stride), *rest)


class Hourglass(nn.Module):
    """Maps (B, widths[0], H, W) to the same: at its own resolution, and by way of maps of half, a
    quarter ... of it, ``blocks`` of ``widths`` channels each, finest first."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        width, inner, count = widths[0], widths[1], blocks[0]
        self.beside = _blocks(width, width, count)
        self.down = _blocks(width, inner, count, stride=2)
        last = len(widths) == 2
        self.inside = (
            _blocks(inner, inner, blocks[1]) if last else Hourglass(widths[1:], blocks[1:])
        )
        stay = [Block(inner, inner) for _ in range(count - 1)]
        self.up = nn.Sequential(*stay, Block(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        beside = self.beside(x)
        return beside + F.interpolate(self.up(self.inside(self.down(x))), size=x.shape[2:])


class HourglassNet(nn.Module):
    """Images (B, 3, H, W) to one map of stride 4 of every one of ``stacks`` hourglasses; the last
    is what a detector reads, the others are trained beside it.

    Two stacks are the published Hourglass-104, one is Hourglass-52.

    Source: Law and Deng, arXiv:1808.01244, section 3.5 (strided blocks in place of pooling).
    """

    def __init__(
        self,
        stacks: int = 2,
        widths: Sequence[int] = (256, 256, 384, 384, 384, 512),
        blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
    ) -> None:
        super().__init__()
        width, later = widths[0], range(stacks - 1)
        self.strides, self.channels = (4,) * stacks, (width,) * stacks
        self.stem = nn.Sequential(
            conv_norm(3, width // 2, kernel=7, stride=2), Block(width // 2, width, stride=2)
        )
        self.stacks = nn.ModuleList(Hourglass(widths, blocks) for _ in range(stacks))
        self.outputs = nn.ModuleList(conv_norm(width, width) for _ in range(stacks))
        self.before = nn.ModuleList(conv_norm(width, width, kernel=1, relu=False) for _ in later)
        self.after = nn.ModuleList(conv_norm(width, width, kernel=1, relu=False) for _ in later)
        self.between = nn.ModuleList(Block(width, width) for _ in later)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images * 4 - 2)  # about zero mean and unit variance for photographs
        found: list[Tensor] = []
        for number, (stack, output) in enumerate(zip(self.stacks, self.outputs)):
            found.append(output(stack(x)))
            if number < len(self.between):
                x = F.relu(self.before[number](x) + self.after[number](found[-1]))
                x = self.between[number](x)
        return found
