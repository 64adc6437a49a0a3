"""Spatial join of boxes that lie on no grid: proposals, refined anchors, predictions.

Which points lie in which windows? The points are sorted by group, horizontal band and x. A window
is then a few bands, and in each of them one interval of the sorted points, found by bisection.
Exact; memory grows with the candidates, taken in blocks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kedge.anchors.segments import marked, total
from kedge.boxes import at_least_float32, centres, iou, sizes
from kedge.rows import pick, pick_boxes, where

BLOCK, ON_A_GPU = 1 << 15, 1 << 19  # candidates at once; the first fits a processor's cache
STEPS = 1 << 30  # resolution of x in a sorting key
MAX_BANDS = 4096
OCTAVES = (2, 32)  # boxes up to 2^2 px are joined together, and those above 2^31 px


def spread(count: Tensor, items: int | None = None) -> tuple[Tensor, Tensor]:
    """For counts (K,): the source (T,) of every item, and its rank within that source; ``items``:
    T, where it is known."""
    source = torch.repeat_interleave(count, output_size=items)
    first = count.cumsum(0) - count
    return source, torch.arange(len(source), device=count.device) - first.index_select(0, source)


def blocks(weight: Tensor) -> Iterator[tuple[slice, int]]:
    """Consecutive slices of (K,) rows whose ``weight`` sums to about a block, and what it sums to;
    one row at least."""
    limit = BLOCK if weight.device.type == "cpu" else ON_A_GPU
    end = weight.cumsum(0)
    whole = int(end[-1]) if len(weight) else 0
    if whole <= limit:
        yield slice(0, len(weight)), whole
        return
    part = (end - weight).div(limit, rounding_mode="floor")
    stop = torch.unique_consecutive(part, return_counts=True)[1].cumsum(0)
    start = before = 0
    for row, items in torch.stack([stop, pick(end, stop - 1)], dim=1).tolist():
        yield slice(start, row), items - before
        start, before = row, items


def points_in_windows(
    points: Tensor, point_group: Tensor, windows: Tensor, window_group: Tensor, groups: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every (window, point) of the same group with the point in the closed window, block by block.

    ``points`` (M, 2) x, y; ``windows`` (Q, 4) ``xyxy``; groups (M,) and (Q,) int64, below
    ``groups``: images, or layers of them. Rows that are not finite match nothing."""
    if len(points) == 0 or len(windows) == 0:
        return
    points, windows = points.T.double().contiguous(), windows.T.double().contiguous()
    order, source, start, count = _intervals(points, point_group, windows, window_group, groups)
    for part, items in blocks(count):
        entry, offset = spread(count[part], items)
        window = pick(source[part], entry)
        point = pick(order, pick(start[part], entry) + offset)
        x, y = points.index_select(1, point)
        x1, y1, x2, y2 = windows.index_select(1, window)
        rows = where((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2))
        yield pick(window, rows), pick(point, rows)


def _intervals(
    points: Tensor, point_group: Tensor, windows: Tensor, window_group: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The points (2, M) in the order (M,) of their groups, bands and x; and of every band of every
    window (4, Q) the window, and the interval of that order which may lie in it, first and length:
    (K,) each."""
    x1, y1, x2, y2 = windows
    asked = (windows.abs().amax(0) < torch.inf) & (x2 >= x1) & (y2 >= y1)
    there, nought = points.nan_to_num(nan=0, posinf=0, neginf=0), torch.zeros_like(x1)
    low, high = there.amin(1), there.amax(1)
    span = (high - low).clamp(min=1e-9)
    # as many bands as windows of the group's mean height are high, and one for what lies at the end
    height = total(torch.where(asked, y2 - y1, nought), window_group, groups)
    height = height / total(asked.double(), window_group, groups).clamp(min=1)
    bands = (span[1] / height.clamp(min=1e-9)).clamp(1, MAX_BANDS).floor()
    per_pixel, last = bands / span[1], bands.long()
    first = (last + 1).cumsum(0) - (last + 1)

    def band(y: Tensor, group: Tensor) -> Tensor:
        return ((y - low[1]) * pick(per_pixel, group)).clamp(0, MAX_BANDS).long()

    def step(x: Tensor) -> Tensor:  # monotonic, so a window's interval of keys holds all its points
        return ((x - low[0]) / span[0] * (STEPS - 1)).clamp(0, STEPS - 1).long()

    x, y = there
    keys, order = ((pick(first, point_group) + band(y, point_group)) * STEPS + step(x)).sort()
    most = pick(last, window_group)
    top = torch.minimum(band(torch.where(asked, y1, nought), window_group), most)
    bottom = torch.minimum(band(torch.where(asked, y2, nought), window_group), most)
    source, down = spread((bottom - top + 1) * asked)
    row = (pick(pick(first, window_group) + top, source) + down) * STEPS
    start = torch.searchsorted(keys, row + pick(step(x1), source))
    count = torch.searchsorted(keys, row + pick(step(x2), source), right=True) - start
    return order, source, start, count


def overlapping_boxes(
    a: Tensor, a_image: Tensor, b: Tensor, b_image: Tensor, images: int, min_iou: float | Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every (row of a, row of b, IoU) of the same image with IoU >= ``min_iou`` and > 0, block by
    block.

    ``a`` (P, 4) and ``b`` (Q, 4) ``xyxy``, images (P,) and (Q,), below ``images``; ``min_iou`` may
    be (P,). IoU >= t bounds how far apart two centres are: by max(1 - t, (1/t - 1) / 2) sides of
    ``a``, and by half of both sides. So the boxes ``b`` of every octave of sizes are a layer of
    their own, with the rows of ``a`` that fit it: one wild box must not widen the search of all.
    """
    if len(a) == 0 or len(b) == 0:
        return
    a, b = at_least_float32(a, b)
    least = torch.as_tensor(min_iou, dtype=a.dtype, device=a.device).expand(len(a))
    other = sizes(b).nan_to_num(nan=0, posinf=0, neginf=0)
    layer = other.amax(1).clamp(min=1).log2().ceil().clamp(*OCTAVES).long() - OCTAVES[0]
    layers = OCTAVES[1] - OCTAVES[0] + 1
    at = where((_fitting(a, least) & marked(layer, layers)).flatten())
    row = at.div(layers, rounding_mode="floor")
    on = at - row * layers
    widest = other.new_zeros(layers, 2)
    widest.scatter_reduce_(0, layer[:, None].expand(-1, 2), other, "amax")
    box, share = pick(a, row), pick(least, row).clamp(min=0)[:, None]
    share = torch.where(share > 0.5, 1 - share, (1 / share - 1) / 2)  # infinite at 0
    reach = torch.minimum((sizes(box) + pick(widest, on)) / 2, sizes(box) * share)
    reach = reach * (1 + 1e-5) + 1e-3 + 1e-6 * box.abs().amax(1, keepdim=True)
    windows = torch.cat([centres(box) - reach, centres(box) + reach], dim=1)
    group, asked = b_image * layers + layer, pick(a_image, row) * layers + on
    for entry, j in points_in_windows(centres(b), group, windows, asked, images * layers):
        i = pick(row, entry)
        value = iou(pick_boxes(a, i), pick_boxes(b, j))
        rows = where((value >= pick(least, i)) & (value > 0))
        yield pick(i, rows), pick(j, rows), pick(value, rows)


def _fitting(boxes: Tensor, least: Tensor) -> Tensor:
    """(P, K) bool: which boxes (P, 4) can have an IoU of ``least`` (P,) with one of each of the K
    ``OCTAVES``.

    No IoU is above the ratio of the two boxes' longer sides.
    """
    side, least = sizes(boxes).amax(1)[:, None], (least * (1 - 1e-5))[:, None]
    above = 2.0 ** torch.arange(OCTAVES[0], OCTAVES[1] + 1, device=boxes.device).to(boxes.dtype)
    below = above / 2
    below[0], above[-1] = 0, torch.inf  # the first one has no beginning, the last one no end
    return (least <= 1) & (above >= least * side) & (below * least <= side)
