"""Boxes from the probabilities of their four corners: the sparse sampling of DeNet."""

from typing import NamedTuple

import torch
from torch import Tensor

from kedge.anchors.segments import rank

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = range(4)


class CornerBoxes(NamedTuple):
    """Boxes between corners: cells (K, 4) x1, y1, x2, y2, the last column and row among them;
    ``score`` (K,) in [0, 1] and ``image`` (K,), ascending; best first in every image."""

    cells: Tensor
    score: Tensor
    image: Tensor


@torch.no_grad()
def corner_boxes(
    logits: Tensor, *, min_corner: float = 0.01, candidates: int = 1024, most: int = 576
) -> CornerBoxes:
    """The ``most`` likeliest boxes of every image, of log odds ``logits`` (B, 4, H, W) that a cell
    is a top left, top right, bottom left, bottom right corner.

    Looked at are those between two opposite corners among the ``candidates`` best of their kind,
    each with a probability of ``min_corner``. A box is as likely as that all four of its corners
    are there, against that none is: the sigmoid of the sum of their log odds.

    Source: Tychsen-Smith and Petersson, arXiv:1703.10295, section 3.1. Deviations: the authors'
    code says 1 / (1 + exp(|f - t|)), which ranks a box that is likelier than not below one that is
    not; boxes of a single column or row of cells are boxes, too.
    """
    width, cells = logits.shape[3], logits.shape[2] * logits.shape[3]
    flat = logits.flatten(2)
    value, place = flat.topk(min(candidates, cells), dim=2)
    good = value.sigmoid() >= min_corner
    y, x = place.div(width, rounding_mode="floor"), place % width
    keys = []
    for upper, lower, mirrored in (
        (TOP_LEFT, BOTTOM_RIGHT, False), (TOP_RIGHT, BOTTOM_LEFT, True)
    ):  # fmt: skip
        one, two = (slice(None), upper, slice(None), None), (slice(None), lower, None)
        left, right = (x[two], x[one]) if mirrored else (x[one], x[two])
        box = good[one] & good[two] & (left <= right) & (y[one] <= y[two])
        image, i, j = box.nonzero(as_tuple=True)
        x1, x2 = x[image, upper, i], x[image, lower, j]
        x1, x2 = (x2, x1) if mirrored else (x1, x2)
        first = y[image, upper, i] * width + x1
        keys.append((image * cells + first) * cells + y[image, lower, j] * width + x2)
    key = torch.cat(keys).unique()  # both ways may find the same box
    image, first, second = key // cells**2, key // cells % cells, key % cells
    y1, x1, y2, x2 = first // width, first % width, second // width, second % width
    places = (y1 * width + x1, y1 * width + x2, y2 * width + x1, y2 * width + x2)
    odds = torch.stack([flat[image, kind, at] for kind, at in enumerate(places)]).sum(0)
    order = torch.argsort(odds, descending=True, stable=True)
    order = order[torch.argsort(image[order], stable=True)]
    order = order[rank(odds[order], image[order], largest=True) < most]
    found = torch.stack([x1, y1, x2, y2], -1)
    return CornerBoxes(found[order], odds[order].sigmoid(), image[order])
