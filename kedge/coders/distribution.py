"""The coder of Generalized Focal Loss: a distance is the mean of a predicted distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, centres
from kedge.coders.coder import require_stride
from kedge.coders.ltrb import around, distances


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionCoder:
    """Left, top, right, bottom in strides, each the expectation over bins 0, 1, ..., ``reg_max``.

    ``decode`` takes logits (P, 4 * (reg_max + 1)), side after side, and integrates their softmax.
    ``encode`` gives the four *distances* (P, 4) in strides, clamped to [0, reg_max]: what
    `kedge.losses.distribution_focal_loss` takes as targets. So here, alone among the coders, codes
    and targets differ in width; `code_size` is the width of the logits.

    ``stride`` (P, 2) is required; ValueError names it when it is None. A box that reaches further
    than ``reg_max`` strides from its point cannot be written and is cut there.

    Source: Li et al., arXiv:2006.04388, section 3.2 (eq. 3 to 6). Deviation: MMDetection clamps
    targets to reg_max - 0.1; our loss is exact at reg_max, so the clamp is not needed.
    """

    reg_max: int = 16

    def __post_init__(self) -> None:
        if self.reg_max < 1:
            raise ValueError(f"DistributionCoder: reg_max {self.reg_max} must be at least 1")

    @property
    def code_size(self) -> int:
        """Logits per anchor: four sides of reg_max + 1 bins."""
        return 4 * (self.reg_max + 1)

    def integral(self, logits: Tensor) -> Tensor:
        """Expected distances (P, 4) in strides of ``logits`` (P, 4 * (reg_max + 1))."""
        bins = torch.arange(self.reg_max + 1, device=logits.device, dtype=logits.dtype)
        shares = logits.unflatten(-1, (4, self.reg_max + 1)).softmax(dim=-1)
        return (shares * bins).sum(dim=-1)

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Distances (P, 4) in strides from the anchors' centres to the sides of ``boxes``."""
        anchor_boxes, boxes, stride = at_least_float32(
            anchor_boxes, boxes, require_stride(stride, self)
        )
        lengths = distances(centres(anchor_boxes), boxes) / stride.repeat(1, 2)
        return lengths.clamp(0, self.reg_max)

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of logits (P, 4 * (reg_max + 1)) around the centres of ``anchor_boxes``."""
        anchor_boxes, codes, stride = at_least_float32(
            anchor_boxes, codes, require_stride(stride, self)
        )
        return around(centres(anchor_boxes), self.integral(codes) * stride.repeat(1, 2))

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) expected minus wanted distances, in strides."""
        codes, goal = at_least_float32(codes, goal)
        return self.integral(codes) - goal
