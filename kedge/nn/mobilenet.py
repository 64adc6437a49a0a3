"""MobileNetV3, the backbone of SSDLite."""

from typing import Any

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from kedge.nn.downloads import downloads
from kedge.nn.extended import lite_norm, small_normal_

_C4 = 13  # the first block of stride 32


class MobileNetV3(nn.Module):
    """MobileNetV3-Large with the maps that SSDLite reads: of stride 16, the expansion of the first
    block of stride 32 (672 channels), and of stride 32, its last (480; with ``pretrained`` 960).

    Without ``pretrained``, which downloads torchvision's weights, its last blocks have half the
    channels (torchvision's reduced tail). Colours go from -1 to 1, as torchvision's SSDLite was
    trained.

    Source: Howard et al., arXiv:1905.02244, section 6.3; torchvision ssdlite.py.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...] = (16, 32)

    def __init__(self, *, pretrained: bool = False) -> None:
        super().__init__()
        weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1 if downloads(pretrained) else None
        layers = mobilenet_v3_large(
            weights=weights, progress=False, norm_layer=lite_norm, reduced_tail=not pretrained
        ).features
        middle: Any = layers[_C4]
        self.features = nn.Sequential(
            nn.Sequential(*layers[:_C4], middle.block[0]),
            nn.Sequential(middle.block[1:], *layers[_C4 + 1 :]),
        )
        self.channels = (672, 960 if pretrained else 480)
        if not pretrained:
            small_normal_(self.features)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.features[0](images * 2 - 1)
        return [fine, self.features[1](fine)]
