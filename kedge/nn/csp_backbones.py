"""CSPDarknet and CSPNeXt, the backbones of YOLOX and RTMDet."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from kedge.nn.backbone import channels_at
from kedge.nn.csp import Block, CSPLayer, SpatialPool, conv_silu

SIZES = {
    "tiny": (0.33, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
"""Depth and width of the published sizes. Of RTMDet's tiny the depth is 0.167."""


class _CSPBackbone(nn.Module):
    """A stem of stride 2, then stages of a strided convolution and a CSP layer each.

    Returns the maps of ``strides``, some of 4 to 32, of 32 channels a stride times the width.
    """

    def __init__(
        self,
        stem: Callable[[int], nn.Module],
        layer: Callable[..., nn.Module],
        *,
        depth: float,
        blocks: tuple[int, int, int, int],
        width: float,
        strides: tuple[int, ...],
    ) -> None:
        super().__init__()
        wide = {stride: int(32 * stride * width) for stride in (2, 4, 8, 16, 32)}
        self.strides = tuple(strides)
        available = {stride: wide[stride] for stride in (4, 8, 16, 32)}
        self.channels = channels_at(self, available, self.strides)
        self.stem = stem(wide[2])
        self.stages = nn.ModuleDict()
        for (stride, channels), count in zip(available.items(), blocks):
            if stride > max(strides):
                break
            last = stride == 32
            self.stages[str(stride)] = nn.Sequential(
                conv_silu(wide[stride // 2], channels, stride=2),
                SpatialPool(channels) if last else nn.Identity(),
                layer(channels, channels, blocks=max(round(count * depth), 1), last=last),
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images * 4 - 2), {}  # about zero mean and unit variance
        for stride, stage in self.stages.items():
            x = maps[int(stride)] = stage(x)
        return [maps[stride] for stride in self.strides]


def _darknet_stem(channels: int) -> nn.Module:
    return nn.Sequential(nn.PixelUnshuffle(2), conv_silu(12, channels))


def _darknet_layer(inputs: int, outputs: int, *, blocks: int, last: bool) -> nn.Module:
    return CSPLayer(inputs, outputs, blocks=blocks, block=partial(Block, residual=not last))


class CSPDarknet(_CSPBackbone):
    """YOLOX's backbone in one of its ``SIZES``: "tiny", "s", "m", "l", "x".

    Sides must be even. Source: Ge et al., arXiv:2107.08430, and its released code. Deviations:
    images in [0, 1] are scaled to about [-2, 2], where YOLOX takes [0, 255]; the stem's four pixels
    of a channel lie side by side, so released weights need a permutation.
    """

    def __init__(self, size: str = "s", strides: tuple[int, ...] = (8, 16, 32)) -> None:
        depth, width = _size(size)
        super().__init__(_darknet_stem, _darknet_layer, depth=depth, blocks=(3, 9, 9, 3),
                         width=width, strides=strides)  # fmt: skip


def _next_stem(channels: int) -> nn.Module:
    half = channels // 2
    return nn.Sequential(
        conv_silu(3, half, stride=2), conv_silu(half, half), conv_silu(half, channels)
    )


def _next_layer(inputs: int, outputs: int, *, blocks: int, last: bool) -> nn.Module:
    block = partial(Block, residual=not last, large=True)
    return CSPLayer(inputs, outputs, blocks=blocks, block=block, attention=True)


class CSPNeXt(_CSPBackbone):
    """RTMDet's backbone in one of its ``SIZES``.

    Source: Lyu et al., arXiv:2212.07784, section 3.1, and its released code. Deviation: images in
    [0, 1] are scaled to about [-2, 2], where RTMDet takes means and deviations of ImageNet.
    """

    def __init__(self, size: str = "s", strides: tuple[int, ...] = (8, 16, 32)) -> None:
        depth, width = _size(size)
        super().__init__(_next_stem, _next_layer, depth=depth if size != "tiny" else 0.167,
                         blocks=(3, 6, 6, 3), width=width, strides=strides)  # fmt: skip


def _size(name: str) -> tuple[float, float]:
    if name not in SIZES:
        raise ValueError(f"size {name!r} is not one of {', '.join(SIZES)}")
    return SIZES[name]
