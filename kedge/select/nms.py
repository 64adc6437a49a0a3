"""Duplicate removal: NMS, soft-NMS, DIoU-NMS, matrix NMS.

All take ``boxes`` (n, 4) ``xyxy`` in pixels, finite, ``scores`` (n,) and ``labels`` (n,) int64 or
None. Boxes of different labels never touch each other; None means one class. To process a batch in
one call pass ``image * num_classes + label``. Nothing needs gradients, n may be 0, no argument is
changed, and equal scores are broken by the lower index. Overlaps are computed in float64 or
float32, never half.

Returned indices point into the arguments, best score first.
"""

from typing import Literal

import torch
import torchvision.ops
from torch import Tensor

from kedge.boxes import at_least_float32, centre_distance, iou


def _check(boxes: Tensor, scores: Tensor, labels: Tensor | None) -> Tensor:
    """The labels as groups 0, 1, ... without gaps, (n,)."""
    count = len(boxes)
    if boxes.shape != (count, 4) or scores.shape != (count,):
        raise ValueError(
            f"boxes {tuple(boxes.shape)} must be (n, 4) xyxy and scores {tuple(scores.shape)} (n,)"
        )
    if labels is None:
        return torch.zeros(count, dtype=torch.int64, device=boxes.device)
    if labels.shape != (count,):
        raise ValueError(f"labels {tuple(labels.shape)} must be ({count},) like scores, or None")
    return torch.unique(labels, return_inverse=True)[1]


def _best_first(scores: Tensor) -> Tensor:
    return torch.argsort(scores, descending=True, stable=True)


def _columns(group: Tensor, order: Tensor) -> Tensor:
    """(groups, m) indices in ``order``, one row per group, padded with -1."""
    if not len(group):
        return group.new_zeros(0, 0)
    order = order[torch.argsort(group[order], stable=True)]
    count = torch.bincount(group)
    first = count.cumsum(0) - count
    place = torch.arange(len(group), device=group.device) - first[group[order]]
    table = group.new_full((len(count), int(count.max())), -1)
    table[group[order], place] = order
    return table


@torch.no_grad()
def nms(
    boxes: Tensor, scores: Tensor, labels: Tensor | None = None, *, threshold: float = 0.5
) -> Tensor:
    """Greedy NMS: a box goes when its IoU with a better kept one is *above* ``threshold``.

    Gives the kept indices (k,), best first. Labels are kept apart exactly, at any number and any
    coordinate: label by label on a CPU; on a GPU, where that would be many launches, by shifting
    boxes in float64 from the smallest coordinate. (`torchvision.ops.batched_nms` shifts in float32
    and by the largest coordinate alone, so that boxes can land on another class.)

    Source: the suppression itself is `torchvision.ops.nms`.
    """
    group = _check(boxes, scores, labels)
    if not len(boxes):
        return group
    (wide,) = at_least_float32(boxes)
    order = _best_first(scores)  # torchvision's own order of equal scores differs by device
    if labels is None:
        return order[_nms_sorted(wide[order], threshold)]
    if boxes.is_cuda:
        wide = boxes.double() - boxes.min()
        wide = wide + (group * (wide.max() + 1))[:, None]
        return order[_nms_sorted(wide[order], threshold)]
    order = order[torch.argsort(group[order], stable=True)]
    parts = order.split(torch.bincount(group).tolist())
    kept = torch.cat([part[_nms_sorted(wide[part], threshold)] for part in parts])
    return kept[_best_first_of(scores, kept)]


def _nms_sorted(boxes: Tensor, threshold: float) -> Tensor:
    """Rows (k,) kept of boxes (n, 4) that stand best first."""
    rank = torch.arange(len(boxes), 0, -1, device=boxes.device, dtype=boxes.dtype)
    return torchvision.ops.nms(boxes, rank, threshold)


def _best_first_of(scores: Tensor, rows: Tensor) -> Tensor:
    """Order of ``rows`` (k,) by score, the lower row first among equals."""
    by_row = torch.argsort(rows)
    return by_row[_best_first(scores[rows[by_row]])]


@torch.no_grad()
def diou_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    threshold: float = 0.5,
    beta: float = 1.0,
) -> Tensor:
    """Greedy NMS that spares other centres: a box goes when IoU - d^beta >= ``threshold``.

    d is the squared centre distance over the squared diagonal of the enclosing box. ``beta`` 1 in
    general; the authors use 0.6 for YOLOv3 and 1.1 for SSD. Gives the kept indices (k,), best
    first. Sequential in the boxes of one class, parallel over the classes.

    Source: Zheng et al., arXiv:1911.08287, section "Non-maximum suppression using DIoU".
    """
    group = _check(boxes, scores, labels)
    (boxes,) = at_least_float32(boxes)
    order = _best_first(scores)
    table = _columns(group, order)
    alive, padded = table >= 0, boxes[table]
    later = torch.arange(table.shape[1], device=boxes.device)
    for i in range(table.shape[1]):
        best = padded[:, i : i + 1]
        close = iou(best, padded) - centre_distance(best, padded) ** beta >= threshold
        alive &= ~(close & alive[:, i : i + 1] & (later > i))
    kept = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    kept[table[alive]] = True
    return order[kept[order]]


@torch.no_grad()
def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    sigma: float = 0.5,
    threshold: float = 0.3,
    min_score: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Lowers the scores of overlapping boxes instead of removing them.

    Repeatedly takes the best remaining box and multiplies the others' scores by ``exp(-IoU^2 /
    sigma)`` ("gaussian") or, above ``threshold``, by ``1 - IoU`` ("linear"). Boxes at or below
    ``min_score`` are dropped and lower nobody. Scores are probabilities. Gives kept indices (k,)
    and their new scores (k,), best first. Sequential in the boxes of one class, parallel over the
    classes.

    Source: Bodla et al., arXiv:1704.04503, figure 2 and eq. 2 and 3.
    """
    if method not in ("linear", "gaussian"):
        raise ValueError(f"soft_nms: method {method!r} must be 'linear' or 'gaussian'")
    group = _check(boxes, scores, labels)
    boxes, scores = at_least_float32(boxes, scores)
    table = _columns(group, torch.arange(len(boxes), device=boxes.device))
    padded, current = boxes[table], scores[table]
    waiting = (table >= 0) & (current > min_score)
    for _ in range(table.shape[1]):
        best = current.masked_fill(~waiting, -torch.inf).argmax(dim=1, keepdim=True)
        chosen = waiting.gather(1, best)  # False where no box of the class is left
        waiting = waiting.scatter(1, best, False)
        overlap = iou(padded.gather(1, best[..., None].expand(-1, -1, 4)), padded)
        if method == "gaussian":
            factor = torch.exp(-overlap.square() / sigma)
        else:
            factor = torch.where(overlap > threshold, 1 - overlap, torch.ones_like(overlap))
        current = torch.where(waiting & chosen, current * factor, current)
        waiting &= current > min_score
    result = torch.zeros_like(scores)
    result[table[table >= 0]] = current[table >= 0]
    order = _best_first(result)
    order = order[result[order] > min_score]
    return order, result[order]


@torch.no_grad()
def matrix_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    sigma: float = 2.0,
    min_score: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Soft suppression without a loop: every box is decayed by its best better neighbour.

    ``decay_j = min over better i of f(IoU_ij) / f(largest IoU of i with a better box)`` with
    ``f(x) = exp(-sigma x^2)`` or ``1 - x``. Gives indices (k,) and scores (k,) of the boxes whose
    new score is above ``min_score``, best first. Memory: for each label the square of the largest
    one's boxes; cut to the best few thousand first.

    Source: Wang et al., arXiv:2003.10152 (SOLOv2), with box IoU for mask IoU.
    Deviation: the linear form's division by zero, when i itself repeats a better box, counts as no
    decay from i.
    """
    if method not in ("linear", "gaussian"):
        raise ValueError(f"matrix_nms: method {method!r} must be 'linear' or 'gaussian'")
    group = _check(boxes, scores, labels)
    boxes, scores = at_least_float32(boxes, scores)
    order = _best_first(scores)
    if not len(order):
        return order, scores
    table = _columns(group, order)  # a row a label, best first
    ranked = boxes[table]
    overlap = iou(ranked[:, :, None], ranked[:, None]).triu(diagonal=1)
    overlap = overlap * (table >= 0)[:, None]
    worst = overlap.amax(dim=1)[..., None]  # of the suppressor, row i
    if method == "gaussian":
        decay = torch.exp(-sigma * (overlap.square() - worst.square()))
    else:
        decay = torch.where(worst < 1, (1 - overlap) / (1 - worst).clamp(min=1e-6), 1.0)
    real = table >= 0
    decay = torch.where(real[..., None], decay, 1.0)
    result = torch.zeros_like(scores)
    result[table[real]] = (scores[table] * decay.amin(dim=1).clamp(max=1))[real]
    order = _best_first(result)
    order = order[result[order] > min_score]
    return order, result[order]
