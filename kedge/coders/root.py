"""YOLOv1's coder: a place in the cell, and the roots of the sides."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, centres, sizes
from kedge.coders.coder import SMALLEST_SIDE, from_centre, require_stride


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCoder:
    """The centre in cells from the cell's corner, and the square roots of the sides.

    ``(x, y)`` is 0 to 1 inside the cell, whose corner is the anchor's centre - stride / 2 (grids
    with a centre offset of 0.5); ``(w, h)`` is the root of the side in units of ``cells`` strides:
    the image's own side where it has so many cells. Nothing is squashed: a centre may leave its
    cell, and a negative root means the same side as its absolute value. The anchor's shape is not
    looked at. Sides below 1e-6 px count as that, with zero gradient.

    ``stride`` (P, 2) is required; ValueError names it when it is None, and refuses ``cells`` that
    are not positive.

    Source: Redmon et al., arXiv:1506.02640, section 2.2; darknet ``src/detection_layer.c`` with
    ``sqrt=1``. Deviation: sides are in units of ``cells`` strides, so that the same code means the
    same box in an image of any size.
    """

    cells: float = 7.0

    def __post_init__(self) -> None:
        if not self.cells > 0:
            raise ValueError(f"RootCoder.cells must be positive, got {self.cells}")

    @property
    def code_size(self) -> int:
        """Four: x, y, root of w, root of h."""
        return 4

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) in the cells around ``anchor_boxes``' centres."""
        anchor_boxes, boxes, stride = at_least_float32(
            anchor_boxes, boxes, require_stride(stride, self)
        )
        place = (centres(boxes) - centres(anchor_boxes)) / stride + 0.5
        side = sizes(boxes).clamp(min=SMALLEST_SIDE) / (self.cells * stride)
        return torch.cat((place, side.sqrt()), dim=-1)

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) in the cells around ``anchor_boxes``' centres."""
        anchor_boxes, codes, stride = at_least_float32(
            anchor_boxes, codes, require_stride(stride, self)
        )
        centre = centres(anchor_boxes) + (codes[..., :2] - 0.5) * stride
        return from_centre(centre, codes[..., 2:].square() * self.cells * stride)

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference of the codes."""
        codes, goal = at_least_float32(codes, goal)
        return codes - goal
