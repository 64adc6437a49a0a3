"""What heat maps of points should show: 1 at a point, less around it, and where a point lies."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kedge.anchors.queries.join import spread
from kedge.types import Targets

Roots = Literal["exact", "released"]


class Points(NamedTuple):
    """Points that maps should show: their ``image`` (G,), ``cell`` (G, 2) x, y and ``offset`` (G,
    2) within it, in cells; ``heat`` (B, C, H, W) of all; ``open`` (B, 1, H, W) bool, the cells that
    may be told that they are none."""

    image: Tensor
    cell: Tensor
    offset: Tensor
    heat: Tensor
    open: Tensor

    def read(self, maps: Tensor) -> Tensor:
        """(G, E) what maps (B, E, H, W) say at the points."""
        return maps[self.image, :, self.cell[:, 1], self.cell[:, 0]]


def points_of(
    points: Tensor, radius: Tensor, targets: Targets, shape: tuple[int, ...], stride: float
) -> Points:
    """One point (g, 2) in pixels of every target that is no crowd, with the ``radius`` (g,) of its
    heat, for heat maps of ``shape`` (B, C, H, W); of one class where C is 1."""
    batch, classes, height, width = shape
    rows, size = targets.real, (height, width)
    image, label = targets.image[rows], targets.labels[rows]
    cell, offset = cell_of(points, stride, size)
    label = label if classes > 1 else torch.zeros_like(label)
    heat = heat_of((batch, classes, height, width), image, label, cell, radius)
    return Points(image, cell, offset, heat, outside_crowds(targets, stride, size))


def gaussian_radius(sides: Tensor, min_iou: float, roots: Roots = "exact") -> Tensor:
    """(G,) how far, in cells, two opposite corners of a box (G, 2) of w, h cells may be moved along
    both axes so that its IoU with the box stays at ``min_iou``: whichever way they move.

    ``roots``: of the three quadratic equations (one corner in and one out, both in, both out).
    "released" is the first code of CornerNet, and ExtremeNet's to this day: larger, as it takes
    the other root and leaves out the division by 2a.

    Source: Law and Deng, arXiv:1808.01244, section 3.1; CornerNet-Lite's code ("exact").
    """
    total, product, t = sides.sum(-1), sides.prod(-1), min_iou
    equations = (  # a, b, c, and the sign of the smallest positive root
        (1.0, total, product * (1 - t) / (1 + t), -1),
        (4.0, 2 * total, (1 - t) * product, -1),
        (4.0 * t, -2 * t * total, (t - 1) * product, 1),
    )
    found = []
    for a, b, c, sign in equations:
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        found.append((b + root) / 2 if roots == "released" else (b + sign * root) / (2 * a))
    return torch.stack(found).amin(0)


def cell_of(points: Tensor, stride: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cells (G, 2) int64 x, y of points (G, 2) in pixels on a map of ``size`` (H, W), and how far
    into its cell each point lies (G, 2), in cells: 1 for what lies on the far edge of the image."""
    place = points / stride
    limit = torch.tensor([size[1] - 1, size[0] - 1], device=points.device)
    cell = torch.minimum(place.long().clamp(min=0), limit)
    return cell, place - cell


@torch.no_grad()
def heat_of(
    shape: tuple[int, int, int, int], image: Tensor, label: Tensor, cell: Tensor, radius: Tensor
) -> Tensor:
    """(B, C, H, W) heat of points at ``cell`` (G, 2) x, y, of ``image`` and ``label`` (G,): 1 there
    and a Gaussian around, as far as ``radius`` (G,) whole cells, of standard deviation (2 radius +
    1) / 6. Where several overlap the largest counts.

    Source: Law and Deng, arXiv:1808.01244, section 3.1.
    """
    batch, classes, height, width = shape
    side = 2 * radius + 1
    source, step = spread(side.square())
    dx, dy = step % side[source] - radius[source], step // side[source] - radius[source]
    x, y = cell[source, 0] + dx, cell[source, 1] + dy
    sigma = side.double()[source] / 6
    value = torch.exp(-(dx.square() + dy.square()).double() / (2 * sigma.square()))
    value = torch.where(value < torch.finfo(torch.float32).eps, 0.0, value)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = ((image * classes + label)[source] * height + y) * width + x
    heat = torch.zeros(batch * classes * height * width, device=cell.device)
    heat.scatter_reduce_(0, place[inside], value[inside].float(), "amax")
    return heat.view(shape)


@torch.no_grad()
def outside_crowds(targets: Targets, stride: float, size: tuple[int, int]) -> Tensor:
    """(B, 1, H, W) bool: the cells whose middle no crowd covers, where a heat map may be told that
    there is nothing."""
    middles = [(torch.arange(n, device=targets.image.device) + 0.5) * stride for n in size]
    rows = targets.crowds
    box = targets.boxes[rows]
    down = (middles[0] >= box[:, 1:2]) & (middles[0] < box[:, 3:])
    along = (middles[1] >= box[:, :1]) & (middles[1] < box[:, 2:3])
    free = torch.ones(targets.batch_size, *size, device=box.device)
    covered = (down[:, :, None] & along[:, None, :]).float()
    free.scatter_reduce_(
        0, targets.image[rows][:, None, None].expand_as(covered), 1 - covered, "amin"
    )
    return free[:, None] > 0
