"""``backbone=`` of every detector: a module, "tiny", "darknet19", or a name of timm's."""

from torch import nn

from kedge.nn import Backbone, Darknet19, TimmBackbone, Tiny, check_backbone


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
