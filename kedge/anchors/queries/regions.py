"""Regions around a target's centre, in units of the stride: centre sampling and its relatives."""

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.pairs import Pairs
from kedge.boxes import centres, holds, sizes
from kedge.rows import both, pick, where
from kedge.types import Anchors, Targets


def enlarged(boxes: Tensor, min_side: float | Tensor) -> Tensor:
    """Boxes (..., 4) with sides below ``min_side`` raised to it about their centre."""
    centre, half = centres(boxes), torch.clamp(sizes(boxes), min=min_side) / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def in_centre(pairs: Pairs, radius: float) -> Tensor:
    """(P,) whether the anchor's centre is less than ``radius`` strides from the target's, on both
    axes.
    """
    away = (pairs.points() - centres(pairs.target_boxes())).abs()
    return both(away < radius * pairs.stride())


@detached
def inside_and_centre(anchors: Anchors, targets: Targets, radius: float) -> Pairs:
    """Pairs whose anchor centre is in the target and within ``radius`` strides of its centre."""
    centre = centres(targets.boxes)[:, None]
    reach = radius * anchors.level_strides().to(centre.dtype)
    box = targets.boxes[:, None]
    low = torch.maximum(box[..., :2], centre - reach)
    high = torch.minimum(box[..., 2:], centre + reach)
    pairs = anchors.inside(targets, torch.cat([low, high], dim=-1))
    return pairs.select(in_centre(pairs, radius))


@detached
def inside_or_centre(anchors: Anchors, targets: Targets, radius: float) -> tuple[Pairs, Tensor]:
    """Pairs whose anchor centre is inside the target, or within ``radius`` strides of its centre.

    The second value (P,) says where both hold.
    """
    reach = 2 * radius * anchors.level_strides().to(targets.boxes.dtype)
    pairs = anchors.inside(targets, enlarged(targets.boxes[:, None], reach))
    points, box = pairs.points(), pairs.target_boxes()
    inside = holds(box, points)
    centre = both((points - centres(box)).abs() < radius * pairs.stride())
    rows = where(inside | centre)
    return pairs.select(rows), pick(inside & centre, rows)
