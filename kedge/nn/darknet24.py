"""The 24 convolutions of YOLOv1."""

from torch import Tensor, nn

from kedge.nn.backbone import channels_at
from kedge.nn.blocks import conv_bn

# (kernel, channels, stride) of the convolutions, "P" a 2 x 2 max pool
_LAYERS = (
    (7, 64, 2), "P", (3, 192, 1), "P",
    (1, 128, 1), (3, 256, 1), (1, 256, 1), (3, 512, 1), "P",
    *[(1, 256, 1), (3, 512, 1)] * 4, (1, 512, 1), (3, 1024, 1), "P",
    *[(1, 512, 1), (3, 1024, 1)] * 2, (3, 1024, 1), (3, 1024, 2), (3, 1024, 1), (3, 1024, 1),
)  # fmt: skip


class Darknet24(nn.Module):
    """YOLOv1's convolutions: one map of stride 64 with 1,024 channels.

    Source: Redmon et al., arXiv:1506.02640, figure 3; darknet ``cfg/yolov1.cfg``. Deviation: batch
    norm everywhere, with PyTorch's momentum and epsilon (as in darknet's file; the paper's network
    has none).
    """

    def __init__(self, strides: tuple[int, ...] = (64,)) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.channels = channels_at(self, {64: 1024}, self.strides)
        layers: list[nn.Module] = []
        inputs = 3
        for layer in _LAYERS:
            if isinstance(layer, str):
                layers.append(nn.MaxPool2d(2))
            else:
                kernel, outputs, stride = layer
                layers.append(conv_bn(inputs, outputs, kernel=kernel, stride=stride))
                inputs = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(images)]
