"""YOLOv1's output: several boxes a cell that share one set of classes."""

import torch
from torch import Tensor, nn

from kedge.nn.heads import rows


class CellOutput(nn.Module):
    """A 1 x 1 convolution to C class scores a cell, and codes and a confidence for each box of it.

    (B, inputs, H, W) to logits (B, N, ``outputs``), codes (B, N, ``code_size``) and confidence (B,
    N): N = ``boxes`` x H x W in the order box, y, x. The boxes of a cell have the same logits.
    """

    def __init__(self, inputs: int, boxes: int, outputs: int, *, code_size: int = 4) -> None:
        super().__init__()
        self.boxes, self.code_size = boxes, code_size
        self.conv = nn.Conv2d(inputs, outputs + boxes * (code_size + 1), 1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        per_cell = rows(self.conv(x), 1)
        each = [self.code_size + 1] * self.boxes
        classes, *boxes = per_cell.split([per_cell.shape[-1] - sum(each), *each], -1)
        said = torch.cat(boxes, 1)
        return classes.repeat(1, self.boxes, 1), said[..., :-1], said[..., -1]
