"""Coder: how a box is written relative to its anchor."""

from typing import Protocol

from torch import Tensor


class Coder(Protocol):
    """Codes for boxes, and boxes for codes. ``stride`` is the cell size (P, 2) in pixels, x then y.

    ``code_size`` is the number of outputs per anchor that a head must predict. ``residual`` is the
    space in which a loss on codes compares: all such losses are written over it, so that any coder
    goes with any of them."""

    @property
    def code_size(self) -> int:
        """D, the width of the codes that ``decode`` takes."""
        ...

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """What a head should say for ``boxes`` (P, 4): codes (P, D) that ``decode`` turns back into
        them, or for distributions the (P, 4) that they are about."""
        ...

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) for ``codes`` (P, D) at ``anchor_boxes`` (P, 4)."""
        ...

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) how far predicted ``codes`` (P, D) are from what ``encode`` gave."""
        ...
