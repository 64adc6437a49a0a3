"""The cells near an object's centre, with the shapes near its own (YOLOv5 and its successors)."""

from dataclasses import replace

import torch

from kedge.anchors.pairs import Pairs
from kedge.boxes import centres, sizes
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
    moves = (
        (-1, 0, before[:, 0]),
        (0, -1, before[:, 1]),
        (1, 0, after[:, 0]),
        (0, 1, after[:, 1]),
    )
    anchor = [pairs.anchors.neighbours(pairs.anchor[w], x, y) for x, y, w in moves]
    target = [pairs.target[where] for *_, where in moves]
    return pairs.join(replace(pairs, anchor=torch.cat(anchor), target=torch.cat(target), _iou=None))
