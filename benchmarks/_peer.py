"""What the adaptors to other libraries share. It puts Kedge on the path."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kedge import Grid

Rule = Callable[[Grid, Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
BACKGROUND, IGNORED = -1, -2


def nothing(anchors: Tensor) -> Tensor:
    """(N,) all background."""
    return torch.full((len(anchors),), BACKGROUND, device=anchors.device)


def middle(anchors: Tensor) -> Tensor:
    """(N, 2) centres."""
    return (anchors[:, :2] + anchors[:, 2:]) / 2
