"""``backbone=`` of every detector: a module, a name of the table here, or one of timm's."""

from collections.abc import Callable
from functools import partial

from torch import nn

from kedge.nn import (
    Backbone,
    CSPDarknet,
    CSPNeXt,
    Darknet19,
    Darknet24,
    Darknet53,
    FinestMap,
    HourglassNet,
    TimmBackbone,
    Tiny,
    check_backbone,
    cut_resnet,
    downloads,
)
from kedge.nn.blocks import Residual, conv_bn
from kedge.nn.csp_backbones import SIZES

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "tiny": Tiny,
    "micro": partial(Tiny, 8),
    "darknet19": Darknet19,
    "darknet24": Darknet24,
    "darknet53": Darknet53,
    **{f"cspdarknet_{size}": partial(CSPDarknet, size) for size in SIZES},
    **{f"cspnext_{size}": partial(CSPNeXt, size) for size in SIZES},
}
"""What ``backbone=`` means before timm is asked."""


def make_backbone(
    backbone: str | nn.Module, *, strides: tuple[int, ...], pretrained: bool = False
) -> Backbone:
    """The backbone with maps of ``strides``; ``ValueError`` when it has other ones, or none that
    are ``pretrained``."""
    if isinstance(backbone, str):
        if backbone in BACKBONES:
            _check_pretrained(backbone, pretrained)
            return BACKBONES[backbone](strides=strides)
        return TimmBackbone(backbone, pretrained=pretrained, strides=strides)
    check_backbone(backbone)  # pyright: ignore[reportArgumentType]
    if tuple(backbone.strides) != strides:  # pyright: ignore
        raise ValueError(
            f"backbone {type(backbone).__name__} has maps of stride {backbone.strides}, "
            f"this detector reads {strides}"
        )
    return backbone  # pyright: ignore[reportReturnType]


def make_stacks(
    backbone: str | nn.Module, *, stride: int, width: int, pretrained: bool = False
) -> FinestMap | HourglassNet:
    """A backbone of which one resolution is read: "hourglass104" and "hourglass52", or the finest
    map, of ``stride`` and ``width`` channels, of a pyramid on any other backbone."""
    if backbone in ("hourglass104", "hourglass52"):
        if stride != 4:
            raise ValueError(f"an hourglass has a map of stride 4, not {stride}")
        _check_pretrained(str(backbone), pretrained)
        return HourglassNet(stacks=2 if backbone == "hourglass104" else 1)
    strides = tuple(s for s in (4, 8, 16, 32) if s >= stride)
    if stride not in strides:
        raise ValueError(f"stride {stride}: these backbones have maps of stride 4, 8, 16 and 32")
    return FinestMap(make_backbone(backbone, strides=strides, pretrained=pretrained), width)


def cut_backbone(
    backbone: str, *, pretrained: bool = False, dilated: bool = False
) -> tuple[Backbone, nn.Module, int]:
    """A backbone with one map of stride 16, the block that follows it, and the block's channels.

    "tiny" or one of torchvision's ResNets: see ``cut_resnet``. The block halves the resolution
    unless ``dilated``.
    """
    if backbone != "tiny":
        return cut_resnet(backbone, pretrained=pretrained, dilated=dilated)
    _check_pretrained(backbone, pretrained)
    trunk = Tiny(strides=(16,))
    width = trunk.channels[0]
    block = nn.Sequential(conv_bn(width, width, stride=1 if dilated else 2), Residual(width))
    return trunk, block, width


def _check_pretrained(backbone: str, pretrained: bool) -> None:
    if downloads(pretrained):
        raise ValueError(
            f"pretrained: there are no published weights of the backbone {backbone!r}; take one of "
            "timm's, such as resnet50, or leave it out"
        )
