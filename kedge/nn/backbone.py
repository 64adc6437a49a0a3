"""What a detector may expect of a backbone."""

from typing import Protocol

from torch import Tensor


class Backbone(Protocol):
    """Images (B, 3, H, W) in [0, 1] to feature maps, finest first.

    The map of stride ``s`` has ``ceil(H / s)`` rows and ``ceil(W / s)`` columns. Normalising the
    colours is the backbone's own affair, because it depends on how its weights were trained.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, images: Tensor) -> list[Tensor]: ...


def check_backbone(backbone: Backbone) -> None:
    """Raises ``ValueError`` unless ``channels`` and ``strides`` are there and agree."""
    channels, strides = (getattr(backbone, name, None) for name in ("channels", "strides"))
    if not channels or not strides or len(channels) != len(strides):
        raise ValueError(
            f"backbone {type(backbone).__name__} needs `channels` and `strides`, one entry per "
            f"feature map it returns (finest first); it has channels={channels}, strides={strides}"
        )
    if list(strides) != sorted(strides):
        raise ValueError(f"backbone strides must grow, finest map first, got {strides}")
