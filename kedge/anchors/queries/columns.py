"""Boxes laid out for a table: image by image, coordinate by coordinate, so that what is computed of
all of them reads memory in order."""

import torch
from torch import Tensor

from kedge.rows import pick_boxes

NOWHERE = -1e30  # where a place stands that is no anchor: outside of everything, without area


def padded(boxes: Tensor, count: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(B, W, 4) the boxes (Q, 4) of every image, ``count`` (B,) of each one after the other, and
    (B * W,) their places in Q; what is left over stands nowhere."""
    place = torch.arange(width, device=boxes.device)
    real = place < count[:, None]
    rows = torch.where(real, (count.cumsum(0) - count)[:, None] + place, 0)
    if not len(boxes):
        return boxes.new_full((len(count), width, 4), NOWHERE), rows.flatten()
    table = pick_boxes(boxes, rows.flatten()).view(len(count), width, 4)
    return torch.where(real[..., None], table, NOWHERE), rows.flatten()


def columns(values: Tensor) -> Tensor:
    """(D, 1, N) or (D, B, N) contiguous, of (N, D) or (B, N, D)."""
    values = values.movedim(-1, 0)
    values = values if values.is_contiguous() else torch.stack(values.unbind())  # not copied: slow
    return values[:, None] if values.ndim == 2 else values


def sides_of(boxes: Tensor, dtype: torch.dtype, flipped: bool = False) -> Tensor:
    """(5, 1, N) or (5, B, N) columns of boxes (N, 4) or (B, N, 4), and their area; ``flipped``: as
    ``Table`` has it."""
    sides = torch.empty(5, *boxes.shape[:-1], dtype=dtype, device=boxes.device)
    low, high, own = sides.split((2, 2, 1))
    # before the area is taken, float16 overflows at 256 px; stacking is faster than a copy
    torch.stack(boxes.to(dtype).unbind(-1), out=sides[:4])
    if flipped:
        torch.maximum(low, high, out=high)
    wide, tall = high - low
    torch.mul(wide, tall, out=own[0])
    return sides[:, None] if sides.ndim == 2 else sides
