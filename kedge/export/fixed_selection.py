"""``Selection`` with fixed sizes: decode, top k, one suppression, padded output with a count."""

import math
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
import torchvision.ops
from torch import Tensor
from torch.nn import functional as F

from kedge.select import Selection
from kedge.select.suppress import NMS, KeepAll

NOWHERE = (-2.0, -2.0, -1.0, -1.0)
"""Where what is no candidate stands: all on one place, beyond every image."""

_TWO_MORE = ((-4.0, -4.0, -3.0, -3.0), (-6.0, -6.0, -5.0, -5.0))


class Padded(NamedTuple):
    """Detections of a batch, best first: the first ``count`` (B,) rows of each image are real.

    ``boxes`` (B, K, 4) ``xyxy`` in pixels of the input, ``scores`` (B, K), ``labels`` (B, K).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    count: Tensor


def check_selection(selection: Selection) -> None:
    """``ValueError`` naming what of a selection has no fixed form."""
    if selection.vote is not None:
        raise ValueError(
            "selection: votes have no fixed form; export --form decoded, or leave vote out"
        )
    if not isinstance(selection.suppress, (NMS, KeepAll)):
        raise ValueError(
            f"selection: {type(selection.suppress).__name__} has no fixed form, only NMS; export "
            "--form decoded, or train with --selection suppress=nms"
        )


def select_fixed(
    selection: Selection,
    scores: Tensor,
    boxes_at: Callable[[Tensor, Tensor], Tensor],
    *,
    levels: tuple[int, ...],
    size: tuple[int, int],
) -> Padded:
    """The detections that ``selection`` makes of ``scores`` (B, N, C), in tensors of fixed sizes.

    ``boxes_at`` gives the boxes (B, K, 4) of anchors (B, K) for labels (B, K); ``levels`` the
    numbers of anchors of every level; ``size`` (H, W) of the images. K is ``selection.most``. The
    same as ``Selection``, but for scores that are equal to the last bit, whose order is open.
    """
    classes = scores.shape[-1]
    scores = torch.where(scores > selection.score, scores, -torch.inf)
    value, label, anchor = _candidates(selection, scores, levels)
    boxes = boxes_at(anchor, label).clamp(min=0)
    height, width = size
    boxes = torch.minimum(boxes, boxes.new_tensor([width, height, width, height]))
    good = (boxes[..., 2:] - boxes[..., :2] > selection.min_side).all(-1) & (value > -torch.inf)
    value = torch.where(good, value, -torch.inf)
    if isinstance(selection.suppress, NMS):
        group, groups = _groups(selection, label, anchor, classes, levels)
        places = _apart(boxes, group, groups, float(max(size)) + 1)
        places = torch.where(good[..., None], places, boxes.new_tensor(NOWHERE))
        value = _suppressed(places, value, in_float32(selection.suppress.threshold))
    return _best(boxes, value, label, selection.most)


def _candidates(
    selection: Selection, scores: Tensor, levels: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, labels and anchors (B, K) of the best of every level, class or image."""
    classes, found, start = scores.shape[-1], [], 0
    for count in levels if selection.top == "level" else (sum(levels),):
        table = scores[:, start : start + count]
        if selection.top == "class":
            value, at = table.transpose(1, 2).topk(_least(selection.candidates, count), dim=2)
            label = torch.arange(classes, device=at.device)[None, :, None].expand_as(at)
            found.append([column.flatten(1) for column in (value, label, at)])
        else:
            value, at = table.flatten(1).topk(_least(selection.candidates, count * classes), dim=1)
            anchor = torch.div(at, classes, rounding_mode="floor")
            found.append([value, at - anchor * classes, anchor + start])
        start += count
    value, label, anchor = (torch.cat(column, 1) for column in zip(*found))
    return value, label, anchor


def _groups(
    selection: Selection, label: Tensor, anchor: Tensor, classes: int, levels: tuple[int, ...]
) -> tuple[Tensor, int]:
    """What suppression keeps apart, (B, K), and how many such groups there are."""
    if selection.apart == "class":
        return label, classes
    group = torch.zeros_like(label)
    if selection.apart == "level":
        for start in accumulate(levels[:-1]):
            group = group + (anchor >= start).to(group.dtype)
        return group, len(levels)
    return group, 1


def _least(most: int | None, count: int) -> int:
    return count if most is None else min(most, count)


def _apart(boxes: Tensor, group: Tensor, groups: int, side: float) -> Tensor:
    """(B, K, 4) boxes moved so that only those of one image and group (B, K) can meet.

    Groups stand in a square of rows and columns: the farthest coordinate, and with it the rounding,
    grows with the root of their number.
    """
    columns = math.ceil(math.sqrt(groups))
    row = torch.div(group, columns, rounding_mode="floor")
    image = torch.arange(boxes.shape[0], device=boxes.device)[:, None]
    down = (row + image * math.ceil(groups / columns)) * side
    right = (group - row * columns) * side
    return boxes + torch.stack([right, down, right, down], -1)


def _suppressed(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Scores (B, K), those of duplicates -inf.

    Two boxes more, which always stay: torchvision tells ``torch.export`` that two at least do.
    """
    two = boxes.new_tensor(_TWO_MORE)
    flat = torch.cat([scores.flatten(), two.new_full((2,), -torch.inf)])
    rows = torchvision.ops.nms(torch.cat([boxes.flatten(0, 1), two]), flat, threshold)
    kept = torch.zeros_like(flat).scatter(0, rows, 1.0)
    return torch.where(kept > 0, flat, -torch.inf)[:-2].view_as(scores)


def in_float32(threshold: float) -> float:
    """The largest float32 that is no larger: torch compares an IoU with the number itself, ONNX
    with its float32, and windows of a grid overlap by just .3."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(0)))


def _best(boxes: Tensor, scores: Tensor, labels: Tensor, most: int) -> Padded:
    value, at = scores.topk(min(most, scores.shape[1]), dim=1)
    real = value > -torch.inf
    rows = boxes.gather(1, at[..., None].expand(-1, -1, 4))
    rows = torch.where(real[..., None], rows, 0.0)
    value, label = torch.where(real, value, 0.0), torch.where(real, labels.gather(1, at), 0)
    short = most - scores.shape[1]
    if short > 0:
        rows = F.pad(rows, (0, 0, 0, short))
        value, label = F.pad(value, (0, short)), F.pad(label, (0, short))
    return Padded(rows, value, label, real.sum(1))
