"""The delta coder of R-CNN, Fast(er) R-CNN, SSD, RetinaNet and their heirs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, centres, sizes
from kedge.coders.coder import SMALLEST_SIDE, from_centre

LOG_LIMIT = math.log(1000 / 16)
"""Largest log size ratio that decoding accepts by default (torchvision, Detectron2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaCoder:
    """Centre shift in anchor sides and log size ratio, normalised by means and standard deviations.

    ``t = ((gx - ax) / aw, (gy - ay) / ah, log(gw / aw), log(gh / ah))``; the code is ``(t - means)
    / stds``.

    ``stds`` (.1, .1, .2, .2) are torchvision's and Detectron2's weights (10, 10, 5, 5) and SSD's
    variances (.1, .2). ``clamp`` bounds the log size ratio at decoding, ``(lowest or None, highest
    or None)``: the default is the upper bound log(1000/16) of torchvision and Detectron2;
    ``(-LOG_LIMIT, LOG_LIMIT)`` is MMDetection's. ``centre_clamp`` bounds the centre shift at
    decoding in pixels (YOLOF: 32). ``stride`` is part of the contract and unused.

    **Learned anchors.** In ``encode`` the anchor's size receives a gradient through ``log(g / a)``
    only. The centre shift divides by the size *detached*: in Anchor Box Optimization the position
    of an object carries no gradient to the shape of its anchor. ``decode`` is differentiable in
    everything.

    Zero-size boxes: sides below ``SMALLEST_SIDE`` (1e-6 px) count as that, with zero gradient, so
    codes are finite.

    Raises ValueError for a standard deviation that is not positive or a clamp whose ends are
    swapped.

    Source: Girshick et al., arXiv:1311.2524, appendix C; Zhong et al., arXiv:1812.00469
    (gradient of the shapes). Deviation: the clamp of degenerate sides.
    """

    means: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    clamp: tuple[float | None, float | None] = (None, LOG_LIMIT)
    centre_clamp: float | None = None

    def __post_init__(self) -> None:
        if len(self.means) != 4 or len(self.stds) != 4 or not all(s > 0 for s in self.stds):
            raise ValueError(
                f"DeltaCoder: means {self.means} and stds {self.stds} must have four numbers each, "
                "and every std must be positive"
            )
        lowest, highest = self.clamp
        if lowest is not None and highest is not None and lowest >= highest:
            raise ValueError(f"DeltaCoder: clamp {self.clamp} must be (lowest, highest)")

    @property
    def code_size(self) -> int:
        """Four: dx, dy, dw, dh."""
        return 4

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) relative to ``anchor_boxes``."""
        del stride  # part of the contract; deltas are relative to the anchor's size
        anchor_boxes, boxes = at_least_float32(anchor_boxes, boxes)
        anchor_size = sizes(anchor_boxes).clamp(min=SMALLEST_SIDE)
        size = sizes(boxes).clamp(min=SMALLEST_SIDE)
        shift = (centres(boxes) - centres(anchor_boxes)) / anchor_size.detach()
        codes = torch.cat((shift, torch.log(size / anchor_size)), dim=-1)
        return (codes - codes.new_tensor(self.means)) / codes.new_tensor(self.stds)

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) relative to ``anchor_boxes``."""
        del stride
        anchor_boxes, codes = at_least_float32(anchor_boxes, codes)
        codes = codes * codes.new_tensor(self.stds) + codes.new_tensor(self.means)
        anchor_size = sizes(anchor_boxes)
        shift, ratio = codes[..., :2] * anchor_size, codes[..., 2:]
        if self.centre_clamp is not None:
            shift = shift.clamp(-self.centre_clamp, self.centre_clamp)
        lowest, highest = self.clamp
        if lowest is not None or highest is not None:
            ratio = ratio.clamp(min=lowest, max=highest)
        return from_centre(centres(anchor_boxes) + shift, anchor_size * torch.exp(ratio))

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference of the codes."""
        codes, goal = at_least_float32(codes, goal)
        return codes - goal
