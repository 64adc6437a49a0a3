"""Candidates of rules that price every anchor for every target: those whose predictions overlap."""

from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.join import overlapping_boxes
from kedge.anchors.pairs import Pairs
from kedge.assign.costs import anchors_of
from kedge.boxes import sizes, unflip
from kedge.types import Predictions, Targets

SMALLEST_OCTAVE = 2  # predicted boxes up to 2^2 px are joined together


def predicted_overlaps(
    predictions: Predictions, targets: Targets, flat: Tensor, min_iou: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(row of ``flat``, target, IoU): predicted boxes with IoU >= ``min_iou`` and > 0; crowds left
    out.

    A spatial join, octave by octave of the boxes' sizes: one wild prediction must not widen the
    search of all.
    """
    rows = (~targets.ignore).nonzero()[:, 0]
    boxes = unflip(predictions.boxes_at(flat))
    image = flat.div(max(predictions.shape[1], 1), rounding_mode="floor")
    side = sizes(boxes).amax(1).clamp(min=1)
    octave = torch.where(torch.isfinite(side), side.log2().ceil(), 0).long()
    octave = octave.clamp(min=SMALLEST_OCTAVE)
    found = []
    for size in octave.unique().tolist():
        part = (octave == size).nonzero()[:, 0]
        for target, row, value in overlapping_boxes(
            targets.boxes[rows], targets.image[rows], boxes[part], image[part], min_iou
        ):
            found.append((part[row], rows[target], value))
    if not found:
        return rows[:0], rows[:0], boxes[:0, 0]
    row, target, value = (torch.cat(column) for column in zip(*found))
    return row, target, value


def with_overlapping(pairs: Pairs, predictions: Predictions) -> tuple[Pairs, Tensor]:
    """The pairs, and those of their anchors with any target that the anchor's *predicted* box
    overlaps.

    Ordered by target, then anchor. The second value (P,) marks the pairs that were there before.
    """
    flat, _ = anchors_of(pairs)
    row, target, _ = predicted_overlaps(predictions, pairs.targets, flat, 0.0)
    anchor = torch.cat([pairs.anchor, flat[row]])
    target = torch.cat([pairs.target, target])
    own = torch.arange(len(anchor), device=anchor.device) < len(pairs)
    order = torch.argsort(anchor, stable=True)
    order = order[torch.argsort(target[order], stable=True)]
    anchor, target, own = anchor[order], target[order], own[order]
    new = torch.ones_like(
        own
    )  # a pair found twice keeps its first row, the one that was there before
    new[1:] = (anchor[1:] != anchor[:-1]) | (target[1:] != target[:-1])
    joined = replace(pairs, anchor=anchor[new], target=target[new], _iou=None)
    return joined, own[new]
