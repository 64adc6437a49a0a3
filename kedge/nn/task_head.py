"""The head of TOOD: classes and boxes from shared features, aligned with each other."""

import torch
from torch import Tensor, nn

from kedge.boxes import at_least_float32
from kedge.nn.blocks import output, tower
from kedge.nn.heads import prior_bias, rows
from kedge.nn.sides import sides_from
from kedge.scores import log_rest, log_score


class LayerAttention(nn.Module):
    """Features of all layers (B, depth * width, H, W) to those of one task (B, width, H, W).

    Each layer is weighted by a number that the mean of all features gives.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        inputs = width * depth
        hidden = max(1, width // 8)
        self.weights = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, depth, 1),
            nn.Sigmoid(),
        )  # fmt: skip
        self.reduce = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm = nn.GroupNorm(max(1, width // 8), width)
        self.depth = depth
        for layer in self.weights:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.001)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        nn.init.normal_(self.reduce.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        share = self.weights(features.mean((2, 3), keepdim=True))
        weighted = features.unflatten(1, (self.depth, -1)) * share[:, :, None]
        return self.norm(self.reduce(weighted.flatten(1, 2))).relu()


class TaskHead(nn.Module):
    """``depth`` shared convolutions, an attention for each task, and a step that aligns them.

    Maps (B, width, H, W) of ``levels`` levels to logits (B, N, outputs) and codes (B, N, 4): left,
    top, right, bottom in cells, negative where the box does not hold its point. A class's
    probability is the geometric mean of its own and one for all classes at that cell. Each side of
    a box is read again at a learned offset (``sides_from``), except where the box would have a
    negative side.

    Source: Feng et al., arXiv:2108.07755, section 3.1; MMDetection's constants.
    """

    def __init__(
        self, width: int, *, levels: int, outputs: int, depth: int = 6, prior: float = 0.01
    ) -> None:
        super().__init__()
        self.shared = nn.ModuleList(tower(width, 1) for _ in range(depth))
        self.class_attention = LayerAttention(width, depth)
        self.box_attention = LayerAttention(width, depth)
        self.classes = output(width, outputs, start=prior_bias(prior))
        self.codes = output(width, 4)
        self.alignment = _step(width, depth, 1, start=prior_bias(prior))
        self.offsets = _step(width, depth, 8, std=0.001)
        self.scale = nn.Parameter(torch.ones(levels))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        levels = zip(maps, self.scale, strict=True)
        logits, codes = zip(*(self._level(x, scale) for x, scale in levels))
        return torch.cat(logits, 1), torch.cat(codes, 1)

    def _level(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        found = []
        for layer in self.shared:
            x = layer(x)
            found.append(x)
        features = torch.cat(found, 1)
        own, common = at_least_float32(
            self.classes(self.class_attention(features)), self.alignment(features)
        )
        (sides,) = at_least_float32(self.codes(self.box_attention(features)))
        sides = sides.exp() * scale
        moved = sides_from(sides, self.offsets(features))
        turned = (moved[:, :2] + moved[:, 2:] < 0).any(1, keepdim=True)
        codes = torch.where(turned, sides, moved)
        return rows(_geometric_mean(own, common), 1), rows(codes, 1)


def _step(
    width: int, depth: int, outputs: int, *, start: float = 0.0, std: float = 0.01
) -> nn.Sequential:
    """Two convolutions on the features of all layers."""
    hidden = max(1, width // 4)
    first, last = nn.Conv2d(width * depth, hidden, 1), output(hidden, outputs, start=start)
    nn.init.zeros_(first.bias)  # pyright: ignore[reportArgumentType]
    for layer in (first, last):
        nn.init.normal_(layer.weight, std=std)
    return nn.Sequential(first, nn.ReLU(inplace=True), last)


def _geometric_mean(logits: Tensor, common: Tensor) -> Tensor:
    """Log odds of the geometric mean of two probabilities."""
    log_p = log_score(logits, common) / 2
    return log_p - log_rest(log_p)
