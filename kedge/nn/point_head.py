"""The head of FCOS and its heirs: a tower for classes, one for boxes and their quality."""

import torch
from torch import Tensor, nn

from kedge.boxes import at_least_float32
from kedge.nn.blocks import output, tower
from kedge.nn.heads import prior_bias, rows


class PointHead(nn.Module):
    """Two towers of ``depth`` convolutions with group norm, shared by all levels.

    Maps (B, width, H, W) of ``levels`` levels to logits (B, N, outputs), codes (B, N, code_size)
    and, with ``quality``, a number for every anchor (B, N), else None; anchors in the order level,
    y, x, shape. Quality is read off the box tower. Box outputs are multiplied by a learned number
    for every level.

    ``prior``: the probability that the untrained class outputs give; ``start``: what the box
    outputs say untrained.

    Source: Tian et al., arXiv:1904.01355, section 3 and figure 2, with the quality on the box tower
    as in the improved version and in torchvision (which has no scale for the levels).
    """

    def __init__(
        self,
        width: int,
        *,
        levels: int,
        outputs: int,
        code_size: int = 4,
        shapes: int = 1,
        depth: int = 4,
        quality: bool = True,
        prior: float = 0.01,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.shapes = shapes
        self.class_tower, self.box_tower = tower(width, depth), tower(width, depth)
        self.classes = output(width, shapes * outputs, start=prior_bias(prior))
        self.codes = output(width, shapes * code_size, start=start)
        self.quality = output(width, shapes) if quality else None
        self.scale = nn.Parameter(torch.ones(levels))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        logits, codes, quality = [], [], []
        for x, scale in zip(maps, self.scale, strict=True):
            features = self.box_tower(x)
            logits.append(rows(self.classes(self.class_tower(x)), self.shapes))
            codes.append(rows(self.box_maps(features, scale), self.shapes))
            if self.quality is not None:
                quality.append(rows(self.quality(features), self.shapes)[..., 0])
        said = torch.cat(quality, 1) if quality else None
        return torch.cat(logits, 1), torch.cat(codes, 1), said

    def box_maps(self, features: Tensor, scale: Tensor) -> Tensor:
        """(B, shapes * code_size, H, W) codes of a level, of the box tower's ``features``."""
        (codes,) = at_least_float32(self.codes(features))
        return codes * scale
