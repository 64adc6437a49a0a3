"""YOLOF's decoder: two towers, and an objectness that classes have to agree with."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.dilated_encoder import conv_relu
from kedge.nn.heads import prior_bias, rows


def joint_logits(logits: Tensor, objectness: Tensor) -> Tensor:
    """The logit of ``sigmoid(logits) * sigmoid(objectness)``, (B, N, C) and (B, N) to (B, N, C).

    ``c + o - log(1 + e^c + e^o)``, without overflow.
    """
    other = objectness[..., None]
    return logits + other - torch.logaddexp(F.softplus(logits), other)


class YolofDecoder(nn.Module):
    """Two convolutions before the classes, four before boxes and objectness, all 3 x 3.

    (B, width, H, W) to logits (B, N, ``outputs``) and codes (B, N, ``code_size``), anchors in the
    order y, x, shape. Objectness is implicit: it is part of the logits, and nothing trains it by
    itself. ``prior``: what a sigmoid of the untrained classes says before objectness halves it.

    Source: Chen et al., arXiv:2103.09460, section 4.1 and the released code.
    """

    def __init__(
        self, width: int, shapes: int, outputs: int, *, code_size: int = 4, prior: float = 0.01
    ) -> None:
        super().__init__()
        self.shapes = shapes
        self.class_tower = nn.Sequential(*[conv_relu(width, width, kernel=3) for _ in range(2)])
        self.box_tower = nn.Sequential(*[conv_relu(width, width, kernel=3) for _ in range(4)])
        self.classes = nn.Conv2d(width, shapes * outputs, 3, padding=1)
        self.codes = nn.Conv2d(width, shapes * code_size, 3, padding=1)
        self.objectness = nn.Conv2d(width, shapes, 3, padding=1)
        for layer in (self.classes, self.codes, self.objectness):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        nn.init.constant_(self.classes.bias, prior_bias(prior))  # pyright: ignore

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = rows(self.classes(self.class_tower(x)), self.shapes)
        placed = self.box_tower(x)
        objectness = rows(self.objectness(placed), self.shapes)[..., 0]
        return joint_logits(logits, objectness), rows(self.codes(placed), self.shapes)
