"""Decoupled heads: one tower of convolutions for classes, another for boxes, at every level."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.heads import prior_bias, rows


class SiLUTower(nn.Module):
    """``depth`` 3 x 3 convolutions with batch norm and SiLU, at ``levels`` levels of one width.

    Batch norm is each level's own; so are the convolutions unless ``shared``.
    """

    def __init__(self, width: int, *, depth: int, levels: int, shared: bool) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for _ in range(1 if shared else levels):
            convs = [nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(depth)]
            self.convs.append(nn.ModuleList(convs))
        for _ in range(levels):
            norms = [nn.BatchNorm2d(width, momentum=0.03, eps=0.001) for _ in range(depth)]
            self.norms.append(nn.ModuleList(norms))

    def forward(self, x: Tensor, level: int) -> Tensor:
        convs, norms = self.convs[level % len(self.convs)], self.norms[level]
        for conv, norm in zip(convs, norms):  # pyright: ignore[reportArgumentType]
            x = F.silu(norm(conv(x)))
        return x


class DecoupledHead(nn.Module):
    """Classes from one tower, codes and objectness from another, by 1 x 1 convolutions.

    Maps of (B, width, H, W), one for each of ``levels``, to logits (B, N, ``outputs``), codes (B,
    N, ``code_size``) and objectness (B, N), None without ``objectness``: all levels, one anchor a
    cell in the order level, y, x. ``shared``: the towers' convolutions are those of all levels
    (RTMDet). ``prior``: what a sigmoid of the untrained classes and objectness says.

    Source: Ge et al., arXiv:2107.08430, section 2.1 (YOLOX); Lyu et al., arXiv:2212.07784, section
    3.2 (RTMDet). YOLOX's first 1 x 1 convolution is the neck's last.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        code_size: int = 4,
        levels: int = 3,
        depth: int = 2,
        objectness: bool = True,
        shared: bool = False,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        self.class_tower = SiLUTower(width, depth=depth, levels=levels, shared=shared)
        self.box_tower = SiLUTower(width, depth=depth, levels=levels, shared=shared)
        self.classes = self._last(width, outputs, levels, prior_bias(prior))
        self.codes = self._last(width, code_size, levels, 0.0)
        self.objectness = self._last(width, 1, levels, prior_bias(prior)) if objectness else None

    @staticmethod
    def _last(width: int, outputs: int, levels: int, bias: float) -> nn.ModuleList:
        layers = nn.ModuleList([nn.Conv2d(width, outputs, 1) for _ in range(levels)])
        for layer in layers:
            nn.init.normal_(layer.weight, std=0.01)  # pyright: ignore[reportArgumentType]
            nn.init.constant_(layer.bias, bias)  # pyright: ignore[reportArgumentType]
        return layers

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        seen = [self.class_tower(x, level) for level, x in enumerate(maps)]
        placed = [self.box_tower(x, level) for level, x in enumerate(maps)]
        objectness = None
        if self.objectness is not None:
            objectness = _all_levels(self.objectness, placed)[..., 0]
        return _all_levels(self.classes, seen), _all_levels(self.codes, placed), objectness


def _all_levels(layers: nn.ModuleList, maps: list[Tensor]) -> Tensor:
    return torch.cat([rows(layer(x), 1) for layer, x in zip(layers, maps, strict=True)], 1)
