"""Feature pyramids: with the two coarse levels of RetinaNet, and with that of Faster R-CNN."""

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork


class Pyramid(nn.Module):
    """C3, C4, C5 to P3 ... P7, all ``width`` channels wide, strides 8 ... 128.

    P6 is a strided convolution of C5 (``from_c5``: the paper, torchvision's v2 recipe) or of P5
    (torchvision's first RetinaNet, FCOS); P7 one of relu(P6).

    Source: Lin et al., arXiv:1708.02002, section 4. The top-down part is torchvision's
    FeaturePyramidNetwork.
    """

    def __init__(
        self, channels: tuple[int, ...], width: int = 256, *, from_c5: bool = True
    ) -> None:
        super().__init__()
        self.top_down = FeaturePyramidNetwork(list(channels), width)
        self.from_c5 = from_c5
        self.p6 = nn.Conv2d(channels[-1] if from_c5 else width, width, 3, 2, 1)
        self.p7 = nn.Conv2d(width, width, 3, 2, 1)
        for layer in (self.p6, self.p7):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        named = {str(level): x for level, x in enumerate(maps)}
        pyramid = list(self.top_down(named).values())
        p6 = self.p6(maps[-1] if self.from_c5 else pyramid[-1])
        return [*pyramid, p6, self.p7(nn.functional.relu(p6))]


class PoolPyramid(nn.Module):
    """C2 ... C5 to P2 ... P6, all ``width`` channels wide; P6 is every second cell of P5.

    Any number of maps will do. ``norm`` adds batch norm after every convolution. Source: Lin et
    al., arXiv:1612.03144; torchvision's LastLevelMaxPool, and its v2 recipe for ``norm``.
    """

    def __init__(self, channels: tuple[int, ...], width: int = 256, *, norm: bool = False) -> None:
        super().__init__()
        layer = nn.BatchNorm2d if norm else None
        self.top_down = FeaturePyramidNetwork(list(channels), width, norm_layer=layer)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        named = {str(level): x for level, x in enumerate(maps)}
        pyramid = list(self.top_down(named).values())
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, 2)]
