"""ResNet cut in two, as the detectors on one map of stride 16 use it."""

from torch import Tensor, nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from kedge.nn.downloads import downloads
from kedge.nn.normalise import Normalise

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
         "resnext101_32x8d")  # fmt: skip


class ResNetTrunk(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to the map of stride 16 of a ResNet, the end of conv4."""

    def __init__(self, net: models.ResNet) -> None:
        super().__init__()
        stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(stem, net.layer1, net.layer2, net.layer3)
        self.strides, self.channels = (16,), (net.fc.in_features // 2,)
        self.normalise = Normalise()

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(self.normalise(images))]


def cut_resnet(
    name: str, *, pretrained: bool = False, dilated: bool = False
) -> tuple[ResNetTrunk, nn.Module, int]:
    """torchvision's ResNet ``name`` up to conv4, its conv5, and how many channels that gives.

    ``dilated``: conv5 keeps the stride of 16, with holes in its kernels. ``pretrained`` downloads
    weights; batch norm then stays as it was trained, as in Detectron2. ``ValueError`` for another
    name, or where ``dilated`` cannot be.
    """
    if name not in NAMES:
        raise ValueError(f"backbone {name!r}: here it is 'tiny' or one of {', '.join(NAMES)}")
    if dilated and name in ("resnet18", "resnet34"):
        raise ValueError(f"backbone {name!r}: its blocks cannot be dilated; take resnet50")
    net: models.ResNet = models.get_model(  # pyright: ignore[reportAssignmentType]
        name,
        weights="DEFAULT" if downloads(pretrained) else None,
        norm_layer=FrozenBatchNorm2d if pretrained else nn.BatchNorm2d,
        replace_stride_with_dilation=(False, False, dilated),
    )
    return ResNetTrunk(net), net.layer4, net.fc.in_features
