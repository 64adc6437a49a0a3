"""Box geometry: areas, the IoU of pairs and its family. One implementation for all of Kedge.

Boxes are ``xyxy`` in continuous pixel coordinates: width is ``x2 - x1``, never ``+ 1``. Conversions
between formats come from ``torchvision.ops``, NMS lives in `kedge.select`. A degenerate box (no
area) has IoU 0 with everything; values and gradients stay finite.

Every comparison takes ``a[..., 4]`` and ``b[..., 4]`` whose leading dimensions broadcast: two (P,
4) tensors are compared row by row, ``a[:, None]`` with ``b[None]`` gives the dense matrix. Results
are at least float32. The losses of `kedge.losses` are one minus these.
"""

import math

import torch
from torch import Tensor


def sizes(boxes: Tensor) -> Tensor:
    """Width and height (..., 2) of ``xyxy`` boxes (..., 4)."""
    return boxes[..., 2:] - boxes[..., :2]


def centres(boxes: Tensor) -> Tensor:
    """Centre x and y (..., 2) of ``xyxy`` boxes (..., 4)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def both_axes(values: Tensor) -> Tensor:
    """Sum (...) of what there is along both axes (..., 2); ``sum`` is slow on so short a
    dimension."""
    return values[..., 0] + values[..., 1]


def area(boxes: Tensor) -> Tensor:
    """Area (...) of ``xyxy`` boxes (..., 4)."""
    wide, tall = sizes(boxes).unbind(-1)
    return wide * tall


def holds(boxes: Tensor, points: Tensor, margin: float = 0.0) -> Tensor:
    """(...) bool: whether points (..., 2) are more than ``margin`` inside boxes (..., 4)."""
    within = torch.minimum(points - boxes[..., :2], boxes[..., 2:] - points) > margin
    return within[..., 0] & within[..., 1]


def scaled(boxes: Tensor, factor: float | Tensor) -> Tensor:
    """Boxes (..., 4) with their sides times ``factor`` about the same centres."""
    centre, half = centres(boxes), sizes(boxes) * (factor / 2)
    return torch.cat([centre - half, centre + half], dim=-1)


def clipped(boxes: Tensor, sizes: Tensor) -> Tensor:
    """(P, 4) boxes cut off at images of ``sizes`` (P, 2), height and width."""
    return torch.minimum(boxes.clamp(min=0), sizes.flip(1).repeat(1, 2).to(boxes))


def at_least_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in one dtype, float32 or wider: a float16 area overflows at 256 px."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Area shared by ``a[..., 4]`` and ``b[..., 4]``; the leading dimensions broadcast."""
    corner = torch.maximum(a[..., :2], b[..., :2])
    opposite = torch.minimum(a[..., 2:], b[..., 2:])
    side = (opposite - corner).clamp(min=0)
    return side[..., 0] * side[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of ``a[..., 4]`` with ``b[..., 4]``; leading dimensions broadcast.

    ``iou(a, b)`` of two (P, 4) tensors compares them row by row; ``iou(a[:, None], b[None])`` is
    the dense matrix. In float32 the result equals ``torchvision.ops.box_iou`` bit by bit wherever
    the union is positive; a pair of empty boxes scores 0 (torchvision: NaN).
    """
    a, b = at_least_float32(a, b)
    inter = intersection(a, b)
    union = area(a) + area(b) - inter
    return inter / union.masked_fill(union <= 0, 1)


def iof(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over the area of ``a``; shapes as in ``iou``. 0 where ``a`` is empty."""
    a, b = at_least_float32(a, b)
    own = area(a)
    return intersection(a, b) / own.masked_fill(own <= 0, 1)


def shape_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of shapes ``a[..., 2]`` and ``b[..., 2]`` (w, h) moved onto one centre.

    Source: YOLOv2's distance is one minus this (Redmon and Farhadi, arXiv:1612.08242, section 2).
    """
    return side_iou(*a.unbind(-1), *b.unbind(-1))


def side_iou(w: Tensor, h: Tensor, other_w: Tensor, other_h: Tensor) -> Tensor:
    """``shape_iou`` of widths and heights in tensors of their own, which broadcast: faster where
    millions are compared. Sides must be positive.
    """
    shared = torch.minimum(w, other_w) * torch.minimum(h, other_h)
    return shared / (w * h + other_w * other_h - shared)


def side_overlap(side: Tensor, other: Tensor, away: Tensor) -> Tensor:
    """How far two sides overlap along an axis whose middles are ``away``; all broadcast."""
    least = torch.minimum(side, other)
    return torch.minimum(least, (side + other) / 2 - away).clamp(min=0)


def side_ratio(w: Tensor, h: Tensor, other_w: Tensor, other_h: Tensor) -> Tensor:
    """YOLOv5's metric of sides that broadcast: the smaller of min(r, 1 / r) over width and height;
    1 when equal. Sides must be positive.
    """
    across, down = w / other_w, h / other_h
    return torch.minimum(torch.minimum(across, 1 / across), torch.minimum(down, 1 / down))


SMALLEST_SIDE = 1e-6  # px: a smaller denominator counts as this
_TINY_AREA = 1e-12  # px^2


def unflip(boxes: Tensor) -> Tensor:
    """The boxes with negative sides raised to zero: ``x2 < x1`` becomes ``x2 = x1``, y alike."""
    sides = boxes.movedim(-1, 0)  # coordinate by coordinate, in memory too: what follows is faster
    return torch.cat((sides[:2], torch.maximum(sides[:2], sides[2:]))).movedim(0, -1)


def enclosing(a: Tensor, b: Tensor) -> Tensor:
    """Width and height (..., 2) of the smallest box around ``a[..., 4]`` and ``b[..., 4]``."""
    corner = torch.minimum(a[..., :2], b[..., :2])
    return torch.maximum(a[..., 2:], b[..., 2:]) - corner


def empty_share(a: Tensor, b: Tensor) -> Tensor:
    """Share of the enclosing box that neither covers, ``(C - U) / C``: the penalty of GIoU."""
    a, b = at_least_float32(a, b)
    around = enclosing(a, b)
    whole = around[..., 0] * around[..., 1]
    union = area(a) + area(b) - intersection(a, b)
    return (whole - union) / whole.clamp(min=_TINY_AREA)


def centre_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared centre distance over the enclosing box's squared diagonal: the penalty of DIoU."""
    a, b = at_least_float32(a, b)
    squared = both_axes((centres(a) - centres(b)).square())
    return squared / both_axes(enclosing(a, b).square()).clamp(min=_TINY_AREA)


def aspect_difference(a: Tensor, b: Tensor, overlap: Tensor | None = None) -> Tensor:
    """The aspect-ratio penalty ``alpha * v`` of CIoU; ``alpha`` carries no gradient.

    ``overlap`` is ``iou(a, b)`` when the caller has it already.
    """
    a, b = at_least_float32(a, b)
    side_a, side_b = sizes(a).clamp(min=SMALLEST_SIDE), sizes(b).clamp(min=SMALLEST_SIDE)
    angle_a = torch.atan2(side_a[..., 0], side_a[..., 1])
    v = (4 / math.pi**2) * (torch.atan2(side_b[..., 0], side_b[..., 1]) - angle_a).square()
    with torch.no_grad():
        overlap = iou(a, b) if overlap is None else overlap
        alpha = v / (1 - overlap + v).clamp(min=_TINY_AREA)
    return alpha * v


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU in (-1, 1]: IoU minus the empty share of the enclosing box.

    Source: Rezatofighi et al., arXiv:1902.09630.
    """
    return iou(a, b) - empty_share(a, b)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU in (-1, 1]: IoU minus the normalised squared centre distance.

    Source: Zheng et al., arXiv:1911.08287, eq. 7.
    """
    return iou(a, b) - centre_distance(a, b)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU: DIoU minus the aspect-ratio penalty.

    Source: Zheng et al., arXiv:1911.08287, eq. 8 to 11. The penalty acts at every IoU, as in
    torchvision; MMDetection drops it at IoU <= 0.5. The gradient of v is the exact one (the
    authors' code scales it).
    """
    overlap = iou(a, b)
    return overlap - centre_distance(a, b) - aspect_difference(a, b, overlap)


def eiou(a: Tensor, b: Tensor) -> Tensor:
    """Efficient IoU: DIoU minus the squared side differences over those of the enclosing box.

    Source: Zhang et al., arXiv:2101.08158 (the Focal-EIoU paper). Not MMDetection's "Extended IoU".
    """
    a, b = at_least_float32(a, b)
    shape = (sizes(a) - sizes(b)).square() / enclosing(a, b).square().clamp(min=_TINY_AREA)
    return diou(a, b) - both_axes(shape)


def siou(a: Tensor, b: Tensor) -> Tensor:
    """SIoU: IoU minus half of an angle-aware centre distance and a shape cost.

    With the angle cost ``L = sin(2 * angle)`` of the line between the centres and gamma = 2 - L:
    ``distance = sum(1 - exp(-gamma * (d / c)^2))`` over x and y, ``shape = sum((1 - exp(-w))^4)``
    with ``w = |side difference| / larger side``.

    Source: Gevorgyan, arXiv:2205.12740. This is the paper's sign: distance costs. MMDetection's
    default (``neg_gamma=False``) rewards it. ``sin(2 angle)`` is written as ``2 |dx dy| /
    distance^2``, so no inverse sine and no infinite gradient.
    """
    a, b = at_least_float32(a, b)
    offset, side_a, side_b = centres(a) - centres(b), sizes(a), sizes(b)
    squared = both_axes(offset.square()).clamp(min=_TINY_AREA)
    gamma = 2 - 2 * (offset[..., 0] * offset[..., 1]).abs() / squared
    reach = offset.square() / enclosing(a, b).square().clamp(min=_TINY_AREA)
    distance = both_axes(1 - torch.exp(-gamma[..., None] * reach))
    differ = (side_a - side_b).abs() / torch.maximum(side_a, side_b).clamp(min=SMALLEST_SIDE)
    shape = both_axes((1 - torch.exp(-differ)).pow(4))
    return iou(a, b) - (distance + shape) / 2


def nwd(a: Tensor, b: Tensor, constant: float = 12.8) -> Tensor:
    """Normalised Gaussian Wasserstein distance as a similarity in (0, 1]: ``exp(-W / constant)``.

    A box is the Gaussian of its centre with half its sides as standard deviations. ``constant`` in
    pixels is the mean object size of the data; 12.8 is AI-TOD's. Boxes without area are compared as
    well.

    Source: Wang et al., arXiv:2110.13389.
    """
    a, b = at_least_float32(a, b)
    squared = both_axes((centres(a) - centres(b)).square())
    squared = squared + both_axes((sizes(a) - sizes(b)).square()) / 4
    return torch.exp(-_root(squared) / constant)


def simd(a: Tensor, b: Tensor, m: float = 6.13, n: float = 4.59) -> Tensor:
    """Similarity distance as a similarity in (0, 1]: ``exp(-(location + shape))``.

    Location is the distance of the centres, shape that of the sides: the horizontal part times
    ``m`` over the sum of both widths, the vertical one times ``n`` over that of both heights.

    Source: Shi et al., arXiv:2407.02394; ``m`` and ``n`` are the released code's.
    """
    a, b = at_least_float32(a, b)
    unit = (sizes(a) + sizes(b)).clamp(min=SMALLEST_SIDE) / a.new_tensor([m, n])
    location = both_axes(((centres(a) - centres(b)) / unit).square())
    shape = both_axes(((sizes(a) - sizes(b)) / unit).square())
    return torch.exp(-(_root(location) + _root(shape)))


def gcd(a: Tensor, b: Tensor) -> Tensor:
    """Gaussian combined distance as a similarity in (0, 1]: ``exp(-sqrt(d))``.

    ``d`` is the squared distance of the centres and half the sides' differences, each over the
    sides of ``a``, and the same over those of ``b``; the mean of both. Symmetric, and the same at
    every scale. Sides below 1e-6 px count as that.

    Source: Guan et al., arXiv:2510.27649, as in the released code (mmdet-GCD).
    """
    a, b = at_least_float32(a, b)
    side_a, side_b = sizes(a).clamp(min=SMALLEST_SIDE), sizes(b).clamp(min=SMALLEST_SIDE)
    squared = (centres(a) - centres(b)).square() + (sizes(a) - sizes(b)).square() / 4
    combined = (squared / side_a.square() + squared / side_b.square()) / 2
    return torch.exp(-_root(both_axes(combined)))


def _root(squared: Tensor) -> Tensor:
    """The square root, whose gradient at 0 is 0 and not infinite."""
    apart = squared > 0
    root = torch.sqrt(torch.where(apart, squared, torch.ones_like(squared)))
    return torch.where(apart, root, torch.zeros_like(root))


def kld(a: Tensor, b: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``KL(a || b)`` >= 0 of the boxes as Gaussians; not symmetric.

    Sides below 1e-6 px count as that. Source: Xu et al., arXiv:2208.08738, section 3.2.
    """
    a, b = at_least_float32(a, b)
    side_a, side_b = sizes(a).clamp(min=SMALLEST_SIDE), sizes(b).clamp(min=SMALLEST_SIDE)
    ratio = side_a / side_b
    offset = ((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])) / side_b
    terms = ratio.square() + offset.square() - 2 * torch.log(ratio) - 1
    return both_axes(terms) / 2


def rfd(a: Tensor, b: Tensor) -> Tensor:
    """Receptive field distance as a similarity in (0, 1]: ``1 / (1 + KL(a || b))``, a the anchor.

    Source: Xu et al., arXiv:2208.08738 (RFLA), section 3.2, the KLD form.
    """
    return 1 / (1 + kld(a, b))
