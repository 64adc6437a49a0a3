"""The coders of YOLO: the centre is bound to the anchor's cell."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, centres, sizes
from kedge.coders.coder import SMALLEST_SIDE, from_centre, require_stride
from kedge.coders.delta import LOG_LIMIT


def _share_of_reach(anchor_boxes: Tensor, boxes: Tensor, reach: Tensor) -> Tensor:
    """The target's centre in a window of size ``reach`` around the anchor's centre, 0 to 1."""
    return (centres(boxes) - centres(anchor_boxes)) / reach + 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class YOLOv2Coder:
    """The centre stays in the anchor's cell, the size is the anchor's times an exponential.

    ``x = (sigmoid(tx) + i) * s`` with the cell's corner ``i * s`` = anchor centre - stride / 2
    (grids with a centre offset of 0.5, as YOLO's), ``w = aw * exp(tw)``; y and h alike. ``encode``
    is the inverse: the logit of the target's place in the cell, clamped to [eps, 1 - eps], so a
    centre outside the cell is written as its nearest border. YOLOv2's squared error compares
    ``sigmoid(code[:2])`` of both sides.

    ``stride`` (P, 2) is required; ValueError names it when it is None. ``max_log_size`` bounds
    ``tw`` and ``th`` at decoding (None: no bound). Zero-size boxes: sides below 1e-6 px count as
    1e-6. For learned anchors the size receives its gradient through ``tw`` and ``th`` only.

    Source: Redmon and Farhadi, arXiv:1612.08242, section 2 "Direct location prediction"; YOLOv3
    (arXiv:1804.02767, section 2.1) uses the same form. Deviation: darknet leaves exp(tw) unbounded,
    here it stops at 1000/16 by default.
    """

    eps: float = 1e-6
    max_log_size: float | None = LOG_LIMIT

    @property
    def code_size(self) -> int:
        """Four: tx, ty, tw, th."""
        return 4

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) relative to ``anchor_boxes``."""
        anchor_boxes, boxes, stride = at_least_float32(
            anchor_boxes, boxes, require_stride(stride, self)
        )
        place = _share_of_reach(anchor_boxes, boxes, stride)
        size = sizes(boxes).clamp(min=SMALLEST_SIDE)
        ratio = torch.log(size / sizes(anchor_boxes).clamp(min=SMALLEST_SIDE))
        return torch.cat((torch.logit(place.clamp(self.eps, 1 - self.eps)), ratio), dim=-1)

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) relative to ``anchor_boxes``."""
        anchor_boxes, codes, stride = at_least_float32(
            anchor_boxes, codes, require_stride(stride, self)
        )
        centre = centres(anchor_boxes) + (torch.sigmoid(codes[..., :2]) - 0.5) * stride
        ratio = codes[..., 2:]
        if self.max_log_size is not None:
            ratio = ratio.clamp(max=self.max_log_size)
        return from_centre(centre, sizes(anchor_boxes) * torch.exp(ratio))

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference of the places in the cell, after the sigmoid, and of tw and th."""
        codes, goal = at_least_float32(codes, goal)
        place = codes[..., :2].sigmoid() - goal[..., :2].sigmoid()
        return torch.cat((place, codes[..., 2:] - goal[..., 2:]), dim=-1)


YOLOv3Coder = YOLOv2Coder
"""YOLOv3 writes boxes exactly as YOLOv2 does; only its anchors and its assignment differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YOLOv5Coder:
    """The centre reaches half a cell beyond its cell, the size up to four times the anchor's.

    ``xy = 2 * sigmoid(t) - 0.5 + cell`` in cells, ``wh = (2 * sigmoid(t))**2 * anchor``. ``encode``
    is the inverse with the sigmoid clamped to [eps, 1 - eps]: a target beyond the reach (centre
    more than one stride away, a side above four times the anchor's) is written as the border of the
    reach.

    ``stride`` (P, 2) is required; ValueError names it when it is None. Zero-size anchors count as
    1e-6 px.

    Source: ultralytics/yolov5 ``models/yolo.py`` (no paper); the limit 4 is its matching ratio
    ``anchor_t``.
    """

    eps: float = 1e-6

    @property
    def code_size(self) -> int:
        """Four: tx, ty, tw, th."""
        return 4

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) relative to ``anchor_boxes``."""
        anchor_boxes, boxes, stride = at_least_float32(
            anchor_boxes, boxes, require_stride(stride, self)
        )
        place = _share_of_reach(anchor_boxes, boxes, 2 * stride)
        size = sizes(boxes).clamp(min=SMALLEST_SIDE)
        growth = torch.sqrt(size / sizes(anchor_boxes).clamp(min=SMALLEST_SIDE)) / 2
        return torch.logit(torch.cat((place, growth), dim=-1).clamp(self.eps, 1 - self.eps))

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) relative to ``anchor_boxes``."""
        anchor_boxes, codes, stride = at_least_float32(
            anchor_boxes, codes, require_stride(stride, self)
        )
        place = 2 * torch.sigmoid(codes)
        centre = centres(anchor_boxes) + (place[..., :2] - 1) * stride
        return from_centre(centre, sizes(anchor_boxes) * place[..., 2:] ** 2)

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference after the sigmoid."""
        codes, goal = at_least_float32(codes, goal)
        return codes.sigmoid() - goal.sigmoid()
