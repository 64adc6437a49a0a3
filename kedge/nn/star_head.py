"""The head of VFNet: a first box, then classes and a better box from a star of nine points."""

import torch
from torch import Tensor, nn

from kedge.boxes import at_least_float32
from kedge.nn.blocks import output, tower
from kedge.nn.deformable import deformed
from kedge.nn.heads import prior_bias, rows

GRADIENT = 0.1  # share of the gradient that the star's points pass on to the first box
FARTHEST = 10.0  # log of the farthest point of a star, in cells


def star(codes: Tensor) -> Tensor:
    """(B, 18, H, W) dy, dx by which the nine taps of a 3 x 3 convolution move onto the box: its
    corners, the middles of its sides, and its point.

    ``codes`` (B, 4, H, W): logarithms of left, top, right, bottom in cells.
    """
    sides = codes.clamp(max=FARTHEST).exp()
    sides = GRADIENT * sides + (1 - GRADIENT) * sides.detach()
    left, top, right, bottom = sides.unbind(1)
    still = torch.zeros_like(left)
    moves = [
        move
        for y, down in ((-1, -top), (0, still), (1, bottom))
        for x, along in ((-1, -left), (0, still), (1, right))
        for move in (down - y, along - x)
    ]
    return torch.stack(moves, dim=1)


class StarHead(nn.Module):
    """Towers of ``depth`` - 1 convolutions; star-shaped deformable ones end them.

    Maps (B, width, H, W) of ``levels`` levels to logits (B, N, outputs), codes and first codes (B,
    N, 4): logarithms of left, top, right, bottom in cells. The codes are the first ones, without
    their graph, plus a correction. ``start``: what the first codes say untrained.

    Source: Zhang et al., arXiv:2008.13367, section 3.3 and 3.4; the authors' code.
    """

    def __init__(self, width: int, *, levels: int, outputs: int, depth: int = 4,
                 prior: float = 0.01, start: float = 0.0) -> None:  # fmt: skip
        super().__init__()
        self.class_tower, self.box_tower = tower(width, depth - 1), tower(width, depth - 1)
        self.first_tower, self.first = tower(width, 1), output(width, 4, start=start)
        self.class_star = output(width, width, bias=False)
        self.box_star = output(width, width, bias=False)
        self.classes = output(width, outputs, start=prior_bias(prior))
        self.refine = output(width, 4)
        self.scale = nn.Parameter(torch.ones(levels))
        self.refine_scale = nn.Parameter(torch.ones(levels))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        levels = zip(maps, self.scale, self.refine_scale, strict=True)
        logits, codes, first = zip(*(self._level(*level) for level in levels))
        return torch.cat(logits, 1), torch.cat(codes, 1), torch.cat(first, 1)

    def _level(self, x: Tensor, scale: Tensor, again: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        classes, boxes = self.class_tower(x), self.box_tower(x)
        (said,) = at_least_float32(self.first(self.first_tower(boxes)))
        first = said * scale
        moves = star(first)
        (change,) = at_least_float32(self.refine(deformed(self.box_star, boxes, moves)))
        codes = first.detach() + change * again
        logits = self.classes(deformed(self.class_star, classes, moves))
        return rows(logits, 1), rows(codes, 1), rows(first, 1)
