"""Coders that write a box as the distances from a point to its four sides."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, centres, sizes
from kedge.coders.coder import SMALLEST_SIDE, require_stride

Activation = Literal["relu", "exp", "none"]
_LARGEST_LOG = math.log(1e6)


def distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Left, top, right, bottom (P, 4) from ``points`` (P, 2) to the sides of ``boxes`` (P, 4).

    Negative where the point lies outside.
    """
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), dim=-1)


def around(points: Tensor, ltrb: Tensor) -> Tensor:
    """Boxes (P, 4) that reach ``ltrb`` (P, 4) from ``points`` (P, 2)."""
    return torch.cat((points - ltrb[..., :2], points + ltrb[..., 2:]), dim=-1)


def _check(activation: str, coder: object) -> None:
    if activation not in ("relu", "exp", "none"):
        raise ValueError(
            f"{type(coder).__name__}: activation {activation!r} must be 'relu', 'exp' or 'none'"
        )


def _activate(codes: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return codes.relu()
    return codes.clamp(max=_LARGEST_LOG).exp() if activation == "exp" else codes


def _deactivate(lengths: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return lengths.relu()
    return lengths.clamp(min=SMALLEST_SIDE).log() if activation == "exp" else lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class LTRBCoder:
    """Left, top, right, bottom from the anchor's centre, in strides (FCOS).

    ``activation`` turns the head's raw output into distances at decoding: "relu" (FCOS with
    normalised targets, the default), "exp" (the first FCOS; stops at 1e6) or "none" (the head has
    activated them already). ``encode`` gives targets for the *raw* output: the distances, or their
    logarithm for "exp". A side that the point lies beyond (negative distance) becomes 0 for "relu"
    and log(1e-6) for "exp".

    ``normalise=True`` divides by ``stride`` (P, 2), which is then required (ValueError names it);
    ``False`` works in pixels and ignores the stride.

    Source: Tian et al., arXiv:1904.01355, section 3.1 (eq. 1) and the released NORM_REG_TARGETS.
    """

    normalise: bool = True
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _check(self.activation, self)

    @property
    def code_size(self) -> int:
        """Four: left, top, right, bottom."""
        return 4

    def _unit(self, boxes: Tensor, stride: Tensor | None) -> Tensor:
        if not self.normalise:
            return torch.ones_like(boxes)
        return require_stride(stride, self).to(boxes.dtype).repeat(1, 2)

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) seen from the centres of ``anchor_boxes``."""
        anchor_boxes, boxes = at_least_float32(anchor_boxes, boxes)
        lengths = distances(centres(anchor_boxes), boxes) / self._unit(boxes, stride)
        return _deactivate(lengths, self.activation)

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) around the centres of ``anchor_boxes``."""
        anchor_boxes, codes = at_least_float32(anchor_boxes, codes)
        lengths = _activate(codes, self.activation) * self._unit(codes, stride)
        return around(centres(anchor_boxes), lengths)

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference of the codes."""
        codes, goal = at_least_float32(codes, goal)
        return codes - goal


@dataclass(frozen=True, slots=True, kw_only=True)
class TBLRCoder:
    """Top, bottom, left, right from the anchor's centre, in units of ``scale`` anchor sides (FSAF).

    ``t = (top / h, bottom / h, left / w, right / w) / scale``. Activations as in `LTRBCoder`; FSAF
    clips negative outputs ("relu"). ``stride`` is part of the contract and unused. Zero-size
    anchors count as 1e-6 px.

    Source: Zhu et al., arXiv:1903.00621; normalisation by the anchor's sides as in
    MMDetection's coder (``scale`` 4).
    """

    scale: float = 4.0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _check(self.activation, self)
        if not self.scale > 0:
            raise ValueError(f"TBLRCoder: scale {self.scale} must be positive")

    @property
    def code_size(self) -> int:
        """Four: top, bottom, left, right."""
        return 4

    def _unit(self, anchor_boxes: Tensor) -> Tensor:
        """Pixels per unit of code, (P, 4) in the order left, top, right, bottom."""
        return (sizes(anchor_boxes).clamp(min=SMALLEST_SIDE) * self.scale).repeat(1, 2)

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, 4) of target ``boxes`` (P, 4) seen from the centres of ``anchor_boxes``."""
        del stride  # part of the contract; the unit is the anchor's own size
        anchor_boxes, boxes = at_least_float32(anchor_boxes, boxes)
        ltrb = distances(centres(anchor_boxes), boxes) / self._unit(anchor_boxes)
        return _deactivate(ltrb, self.activation)[..., [1, 3, 0, 2]]

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) of ``codes`` (P, 4) around the centres of ``anchor_boxes``."""
        del stride
        anchor_boxes, codes = at_least_float32(anchor_boxes, codes)
        ltrb = _activate(codes[..., [2, 0, 3, 1]], self.activation) * self._unit(anchor_boxes)
        return around(centres(anchor_boxes), ltrb)

    def residual(self, codes: Tensor, goal: Tensor) -> Tensor:
        """(P, 4) difference of the codes."""
        codes, goal = at_least_float32(codes, goal)
        return codes - goal
