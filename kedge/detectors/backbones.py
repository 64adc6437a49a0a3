"""``backbone=`` of every detector: a module, "tiny", "darknet19", or a name of timm's."""

from torch import nn

from kedge.nn import Backbone, Darknet19, TimmBackbone, Tiny, check_backbone, cut_resnet
from kedge.nn.blocks import Residual, conv_bn


def make_backbone(
    backbone: str | nn.Module, *, strides: tuple[int, ...], pretrained: bool = False
) -> Backbone:
    """The backbone with maps of ``strides``; ``ValueError`` when it has other ones."""
    if isinstance(backbone, str):
        if backbone == "tiny":
            return Tiny(strides=strides)
        if backbone == "darknet19":
            return Darknet19(strides=strides)
        return TimmBackbone(backbone, pretrained=pretrained, strides=strides)
    check_backbone(backbone)  # pyright: ignore[reportArgumentType]
    if tuple(backbone.strides) != strides:  # pyright: ignore
        raise ValueError(
            f"backbone {type(backbone).__name__} has maps of stride {backbone.strides}, "
            f"this detector reads {strides}"
        )
    return backbone  # pyright: ignore[reportReturnType]


def cut_backbone(
    backbone: str, *, pretrained: bool = False, dilated: bool = False
) -> tuple[Backbone, nn.Module, int]:
    """A backbone with one map of stride 16, the block that follows it, and the block's channels.

    "tiny" or one of torchvision's ResNets: see ``cut_resnet``. The block halves the resolution
    unless ``dilated``.
    """
    if backbone != "tiny":
        return cut_resnet(backbone, pretrained=pretrained, dilated=dilated)
    trunk = Tiny(strides=(16,))
    width = trunk.channels[0]
    block = nn.Sequential(conv_bn(width, width, stride=1 if dilated else 2), Residual(width))
    return trunk, block, width
