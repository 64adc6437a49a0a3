"""Queries about predicted boxes: which objects they overlap, and which are nearest to an object."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.columns import padded
from kedge.anchors.queries.join import overlapping_boxes, points_in_windows
from kedge.anchors.queries.table import Table, closest, few_launches, fits, overlapping
from kedge.anchors.segments import count_of
from kedge.boxes import centres, holds, unflip
from kedge.rows import pick, where
from kedge.types import Anchors, Predictions, Targets

FAR = 1e9  # pixels
FEW = 2  # how many times fewer rows are worth being put together


def overlapping_predictions(
    anchors: Anchors,
    targets: Targets,
    predictions: Predictions,
    min_iou: float | Tensor,
    among: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of a *predicted* box and an object with IoU >= ``min_iou`` and > 0.

    Anchor (a row of the batch), target and IoU, (P,) each; of ``among`` (Q,) ascending rows only,
    if given. ``min_iou`` may be (G,), one for each object. Crowds are left out. Flipped boxes are
    turned around; those that are not finite overlap nothing.
    """
    table, whole = _table(anchors, targets, predictions, among)
    if table is not None:
        least = min_iou.to(table.dtype)[:, None] if isinstance(min_iou, Tensor) else min_iou
        found = overlapping(anchors, table, least, among if whole else None)
        return found.anchor, found.target, found.iou()
    asked = every_row(anchors, targets) if among is None else among
    boxes = predictions.every_box() if among is None else predictions.boxes_at(among)
    boxes, image = unflip(boxes), anchors.image_of(asked)
    least = torch.as_tensor(min_iou, dtype=boxes.dtype, device=boxes.device)
    found = [(asked[:0], asked[:0], boxes[:0, 0])]
    found += overlapping_boxes(
        targets.of_real(targets.boxes),
        targets.of_real(targets.image),
        boxes,
        image,
        targets.batch_size,
        targets.of_real(least.expand(len(targets))),
    )
    target, row, value = (torch.cat(column) for column in zip(*found))
    return pick(asked, row), pick(targets.real, target), value


def _table(
    anchors: Anchors, targets: Targets, predictions: Predictions, among: Tensor | None
) -> tuple[Table | None, bool]:
    """A table of predicted boxes, or None where it would be large; and whether it holds all of
    them: on a processor those ``among`` a batch's rows are put together, where they are few."""
    batch, wide = targets.batch_size, anchors.per_image

    def worth_it(width: int) -> bool:
        return fits(width, targets) and (wide is None or FEW * width <= wide)

    on_a_processor = batch > 0 and not few_launches(targets)
    if among is not None and on_a_processor and worth_it(len(among) // batch):
        count = count_of(anchors.image_of(among), batch)
        width = int(count.max())
        if worth_it(width):
            boxes, place = padded(predictions.boxes_at(among), count, width)
            rows = pick(among, place) if len(among) else place
            return Table(boxes, targets, rows, flipped=True), False
    if wide is None or not fits(wide, targets):
        return None, True
    boxes = predictions.every_box().view(batch, wide, 4)
    return Table(boxes, targets, flipped=True), True


def every_row(anchors: Anchors, targets: Targets) -> Tensor:
    """(M,) all rows of the batch."""
    return torch.arange(anchors.total(targets.batch_size), device=targets.boxes.device)


def overlapping_outside(
    inside: Pairs, predictions: Predictions, region: Tensor, min_iou: Tensor
) -> Pairs:
    """Pairs whose predicted box overlaps the target by ``min_iou`` (G,) while the anchor's centre
    is *not* in the target's ``region`` (G, 4); none for a target whose ``min_iou`` is not finite.

    ``inside``: the pairs with their centre in the region.
    """
    anchor, target, _ = overlapping_predictions(
        inside.anchors, inside.targets, predictions, min_iou
    )
    more = replace(inside, anchor=anchor, target=target, _iou=None)
    return more.select(~holds(pick(region, target), more.points()))


def well_predicted(
    anchors: Anchors, targets: Targets, predictions: Predictions, above: float
) -> Tensor:
    """Rows, possibly repeated, of anchors whose *predicted* box has IoU > ``above`` with an object:
    YOLO's ignore rule."""
    anchor, _, value = overlapping_predictions(anchors, targets, predictions, above)
    return pick(anchor, where(value > above))


def nearest_predictions(
    near: Pairs, predictions: Predictions, k: int, by: Callable[[Tensor, Tensor], Tensor]
) -> Pairs:
    """For every object the ``k`` predictions of largest ``by(predicted boxes, target boxes)``.

    ``by`` is minus a distance in pixels of which the distance of the centres along either axis is a
    part; predictions that are not finite are nowhere. ``near``: some ``k`` anchors of each object
    that is asked about. The farthest of *their* predictions bounds how far the k nearest of all can
    be, so only centres in a window need a look.
    """
    targets, boxes, wide = near.targets, predictions.every_box(), near.anchors.per_image
    if wide is not None and fits(wide, targets):
        table = Table(boxes.view(targets.batch_size, wide, 4), targets)
        return closest(near.anchors, table, k, by)
    known = by(boxes[near.anchor], near.target_boxes()).nan_to_num(nan=-FAR, neginf=-FAR)
    reach = near.min_per_target(known).neg() * (1 + 1e-5) + 1e-3
    asked = where(near.count_per_target() > 0)
    middle, reach = centres(targets.boxes[asked]), reach[asked, None]
    windows = torch.cat([middle - reach, middle + reach], dim=1)
    image = near.anchors.image_of(every_row(near.anchors, targets))
    anchor, target = [near.anchor[:0]], [near.target[:0]]
    found = points_in_windows(
        centres(boxes), image, windows, targets.image[asked], targets.batch_size
    )
    for i, j in found:
        close = -by(boxes[j], targets.boxes[asked[i]]) <= reach[i, 0]
        anchor.append(j[close])
        target.append(asked[i[close]])
    found = replace(near, anchor=torch.cat(anchor), target=torch.cat(target), _iou=None)
    value = by(boxes[found.anchor], found.target_boxes())
    return found.select(found.top_per_target(value, k))
