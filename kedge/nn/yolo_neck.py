"""YOLOv2's layers between backbone and output."""

from torch import Tensor, nn

from kedge.nn.blocks import conv_bn
from kedge.nn.passthrough import Passthrough


class YoloNeck(nn.Module):
    """Convolves the coarse map ``depth`` times, appends the folded fine map, convolves once more.

    Maps of stride s / 2 (``fine`` channels) and s (``coarse`` channels) to one of stride s with
    ``width`` channels. ``squeezed`` channels of the fine map are folded, 64 at most by default.

    Source: darknet ``cfg/yolov2.cfg`` with coarse 1024, width 1024, depth 2.
    """

    def __init__(self, fine: int, coarse: int, width: int, *, depth: int = 2) -> None:
        super().__init__()
        layers = [conv_bn(coarse if i == 0 else width, width) for i in range(depth)]
        self.deepen = nn.Sequential(*layers)
        self.passthrough = Passthrough(fine, squeezed=min(64, fine // 2))
        deep = width if depth else coarse
        self.join = conv_bn(deep + self.passthrough.extra, width)
        self.channels = width

    def forward(self, maps: list[Tensor]) -> Tensor:
        fine, coarse = maps
        return self.join(self.passthrough(fine, self.deepen(coarse)))
