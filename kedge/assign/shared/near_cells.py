"""The cells near an object's centre, with the shapes near its own (YOLOv5 and its successors)."""

from dataclasses import replace

import torch

from kedge.anchors.pairs import Pairs
from kedge.boxes import centres, sizes
from kedge.rows import pick, where
from kedge.types import Anchors, Targets


def near_cells(anchors: Anchors, targets: Targets, max_ratio: float, reach: float) -> Pairs:
    """Anchors of the cell of each object's centre, and of its neighbours nearer than ``reach``, of
    which neither side is off by ``max_ratio`` or more; on every level.

    The neighbours end at the map's edge; an object centred outside the image has none.
    """
    cell = anchors.in_cell(targets)
    side, object_side = anchors.shape_of(cell.anchor), sizes(cell.target_boxes())
    ratio = torch.maximum(object_side / side, side / object_side).amax(1)
    return _with_neighbours(cell.select(ratio < max_ratio), reach)


def _with_neighbours(pairs: Pairs, reach: float) -> Pairs:
    """The pairs, and the same shapes in the neighbours nearest to the object's centre."""
    at = centres(pairs.target_boxes()) / pairs.stride()
    size = pairs.anchors.cells(pairs.anchor)
    within = ((at >= 0) & (at < size)).all(1)
    part = at - at.floor()
    before = (part < reach) & (at > 1) & within[:, None]
    after = (part > 1 - reach) & (at < size - 1) & within[:, None]
    pitch = pairs.anchors.pitch(pairs.anchor)
    there = pairs.anchor[:, None] + torch.cat([-pitch, pitch], dim=1)  # left, above, right, below
    entry = where(torch.cat([before, after], dim=1).flatten())
    anchor, target = pick(there.flatten(), entry), pick(pairs.target, entry // 4)
    return pairs.join(replace(pairs, anchor=anchor, target=target, _iou=None))
