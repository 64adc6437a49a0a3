"""VGG-16, the backbone of SSD, RefineDet and Fast R-CNN."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from kedge.nn.backbone import channels_at
from kedge.nn.downloads import downloads
from kedge.nn.l2_norm import L2Norm

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
_CONVS = {4: 256, 8: 512, 16: 512}  # stride of conv3_3, conv4_3, conv5_3, and their channels
_ENDS = {15: 4, 22: 8, 29: 16}  # the layers that end these blocks


class VGG16(nn.Module):
    """The convolutions of VGG-16, and its fc6 and fc7 as convolutions.

    Returns the maps of ``strides``, some of 4 (conv3_3, 256 channels), 8 (conv4_3, 512) and 16
    (conv5_3, 512). With ``fc7`` 16 or 32 the map of that stride is fc7's (1024): 16 is SSD's, whose
    pool5 keeps the resolution and whose fc6 is dilated by 6; 32 is RefineDet's, with a strided
    pool5 and a dilation of 3. ``norms`` (stride: scale) puts maps through ``L2Norm`` before they
    are returned; the layers behind read them as they were. A map of stride s has ``ceil(side / s)``
    cells. ``features`` has torchvision's numbering.

    Images are normalised as the weights that ``pretrained`` downloads were trained: Caffe's, from 0
    to 255, without their mean. Without them: Kaiming's initialisation, Xavier's for fc6 and fc7.

    Source: Simonyan and Zisserman, arXiv:1409.1556, configuration D; Liu et al., arXiv:1512.02325,
    section 3 (fc6 and fc7); sfzhang15/RefineDet model_libs.py.
    """

    mean: Tensor

    def __init__(
        self,
        strides: tuple[int, ...] = (4, 8, 16),
        *,
        fc7: Literal[16, 32] | None = None,
        norms: Mapping[int, float] | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.strides, self.fc7 = tuple(strides), fc7
        available = _CONVS if fc7 is None else _CONVS | {fc7: 1024}
        self.channels = channels_at(self, available, self.strides)
        self.features = _convolutions()
        self.fc = None if fc7 is None else _fully_connected(dilated=fc7 == 16)
        self.norms = nn.ModuleDict(
            {str(s): L2Norm(available[s], scale) for s, scale in (norms or {}).items()}
        )
        mean = torch.tensor([0.48235, 0.45882, 0.40784]).view(3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        if downloads(pretrained):
            weights = VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(progress=False)
            own = {k: v for k, v in weights.items() if k.startswith("features.")}
            self.load_state_dict(own, strict=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = (images - self.mean) * 255, {}
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _ENDS:
                maps[_ENDS[number]] = x
        if self.fc is not None:
            maps[self.fc7] = self.fc(x)
        for stride, norm in self.norms.items():
            maps[int(stride)] = norm(maps[int(stride)])
        return [maps[stride] for stride in self.strides]


def _convolutions() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for channels, count in _BLOCKS:
        layers += [nn.MaxPool2d(2, ceil_mode=True)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = channels
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(*layers)


def _fully_connected(*, dilated: bool) -> nn.Sequential:
    pool = nn.MaxPool2d(3, 1, 1) if dilated else nn.MaxPool2d(2, ceil_mode=True)
    wide = 6 if dilated else 3
    fc6 = nn.Conv2d(512, 1024, 3, padding=wide, dilation=wide)
    fc7 = nn.Conv2d(1024, 1024, 1)
    for layer in (fc6, fc7):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(pool, fc6, nn.ReLU(inplace=True), fc7, nn.ReLU(inplace=True))
