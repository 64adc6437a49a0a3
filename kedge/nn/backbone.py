"""What a detector may expect of a backbone."""

from typing import Protocol

from torch import Tensor, nn


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


def channels_at(
    backbone: nn.Module, available: dict[int, int], strides: tuple[int, ...]
) -> tuple[int, ...]:
    """Channels of the maps of ``strides``; ``ValueError`` for one that is not ``available``."""
    missing = [stride for stride in strides if stride not in available]
    if missing or not strides:
        raise ValueError(
            f"{type(backbone).__name__} has maps of stride {list(available)}, none of stride "
            f"{missing or 'nothing: ask for at least one'}"
        )
    return tuple(available[stride] for stride in strides)
