"""The coder of detectors that classify windows and do not move them."""

from dataclasses import dataclass

from torch import Tensor

from kedge.boxes import at_least_float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A box is its anchor: there is nothing to write.

    ``decode`` gives the anchors themselves, whatever stands there; ``code_size`` is 0, so that a
    head predicts classes only, and losses on codes are 0.
    """

    @property
    def code_size(self) -> int:
        """None at all."""
        return 0

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 0)."""
        return anchor_boxes[:, :0]

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """The anchor boxes (P, 4)."""
        return at_least_float32(anchor_boxes)[0]

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 0)"""
        return codes - goal
