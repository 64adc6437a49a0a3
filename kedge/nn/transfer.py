"""RefineDet's connection between its two steps."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class TransferConnection(nn.Module):
    """Maps of any channels, finest first, to ``width`` channels each; from the coarsest on each
    is added to the next finer one, enlarged by a transposed convolution.

    A map must have half the rows and columns of the one before.

    Source: Zhang et al., arXiv:1711.06897, section 3.1 (transfer connection block);
    sfzhang15/RefineDet VGG16_VOC2012_320.py.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(own, width, 3, padding=1) for own in channels)
        self.second = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.up = nn.ModuleList(nn.ConvTranspose2d(width, width, 2, 2) for _ in channels[1:])
        self.last = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        out: list[Tensor] = []
        for level in reversed(range(len(maps))):
            x = self.second[level](F.relu(self.first[level](maps[level])))
            if out:
                x = x + self.up[level](out[-1])
            out.append(F.relu(self.last[level](F.relu(x))))
        return out[::-1]
