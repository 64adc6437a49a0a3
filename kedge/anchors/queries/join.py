"""Spatial join of boxes that lie on no grid: proposals, refined anchors, predictions.

Which points lie in which windows? The points are sorted by image, horizontal band and x. A window
is then a few bands, and in each of them one interval of the sorted points, found by bisection.
Exact; memory grows with the candidates, taken in blocks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kedge.anchors.segments import pick, pick_boxes, where
from kedge.boxes import iou

BLOCK = 1 << 19  # candidates that are held at once
STEPS = 1 << 30  # resolution of x in a sorting key
MAX_BANDS = 4096


def spread(count: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (K,): the source (T,) of every item, and its rank within that source."""
    source = torch.repeat_interleave(count)
    first = count.cumsum(0) - count
    return source, torch.arange(len(source), device=count.device) - first.index_select(0, source)


def blocks(weight: Tensor, limit: int = BLOCK) -> Iterator[slice]:
    """Consecutive slices of (K,) rows whose ``weight`` sums to about ``limit``; one row at
    least."""
    part = (weight.cumsum(0) - weight).div(limit, rounding_mode="floor")
    start = 0
    for count in torch.unique_consecutive(part, return_counts=True)[1].tolist():
        yield slice(start, start + count)
        start += count


def points_in_windows(
    points: Tensor, point_image: Tensor, windows: Tensor, window_image: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every (window, point) of the same image with the point in the closed window, block by block.

    ``points`` (M, 2) x, y; ``windows`` (Q, 4) ``xyxy``; images (M,) and (Q,) int64. Rows that are
    not finite match nothing."""
    points, windows = points.double(), windows.double()
    point_ids = torch.isfinite(points).all(1).nonzero()[:, 0]
    window_ids = (
        torch.isfinite(windows).all(1) & (windows[:, 2:] >= windows[:, :2]).all(1)
    ).nonzero()
    window_ids = window_ids[:, 0]
    if len(point_ids) == 0 or len(window_ids) == 0:
        return
    points, point_image = points[point_ids], point_image[point_ids]
    windows, window_image = windows[window_ids], window_image[window_ids]

    low, high = points.amin(0), points.amax(0)
    height = (windows[:, 3] - windows[:, 1]).mean().clamp(min=1e-9)
    bands = int(((high[1] - low[1]) / height).clamp(max=MAX_BANDS - 1)) + 1
    height = (high[1] - low[1]).clamp(min=1e-9) / bands

    def band(y: Tensor) -> Tensor:
        return ((y - low[1]) / height).floor().clamp(0, bands - 1).long()

    def step(x: Tensor) -> Tensor:  # monotonic, so a window's interval of keys holds all its points
        return (
            ((x - low[0]) / (high[0] - low[0]).clamp(min=1e-9) * (STEPS - 1))
            .clamp(0, STEPS - 1)
            .long()
        )

    keys = (point_image * bands + band(points[:, 1])) * STEPS + step(points[:, 0])
    keys, order = keys.sort()
    first_band = band(windows[:, 1])
    source, rank = spread(band(windows[:, 3]) - first_band + 1)
    group = (window_image[source] * bands + first_band[source] + rank) * STEPS
    start = torch.searchsorted(keys, group + step(windows[source, 0]))
    count = torch.searchsorted(keys, group + step(windows[source, 2]), right=True) - start
    for part in blocks(count):
        entry, offset = spread(count[part])
        window = pick(source[part], entry)
        point = pick(order, pick(start[part], entry) + offset)
        x, y = pick(points, point).unbind(1)
        x1, y1, x2, y2 = pick(windows, window).unbind(1)
        rows = where((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2))
        yield pick(window_ids, pick(window, rows)), pick(point_ids, pick(point, rows))


def overlapping_boxes(
    a: Tensor, a_image: Tensor, b: Tensor, b_image: Tensor, min_iou: float | Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every (row of a, row of b, IoU) of the same image with IoU >= ``min_iou`` and > 0, block by
    block.

    ``a`` (P, 4) and ``b`` (Q, 4) ``xyxy``, images (P,) and (Q,); ``min_iou`` may be (P,). IoU >= t
    bounds how far apart two centres are: by max(1 - t, (1/t - 1) / 2) sides of ``a``, and by half
    of both sides.
    """
    if len(a) == 0 or len(b) == 0:
        return
    side, other = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    other = torch.where(torch.isfinite(other), other, 0)
    least = torch.as_tensor(min_iou, dtype=a.dtype, device=a.device).expand(len(a))
    share = least.clamp(min=1e-6)[:, None]
    share = torch.where(share > 0.5, 1 - share, (1 / share - 1) / 2)
    reach = torch.minimum((side + other.amax(0)) / 2, side * share)
    reach = reach * (1 + 1e-5) + 1e-3 + 1e-6 * a.abs().amax(1, keepdim=True)
    centre = (a[:, :2] + a[:, 2:]) / 2
    windows = torch.cat([centre - reach, centre + reach], dim=1)
    for i, j in points_in_windows((b[:, :2] + b[:, 2:]) / 2, b_image, windows, a_image):
        value = iou(pick_boxes(a, i), pick_boxes(b, j))
        rows = where((value >= pick(least, i)) & (value > 0))
        yield pick(i, rows), pick(j, rows), pick(value, rows)
