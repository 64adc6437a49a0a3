"""Weighted box fusion: the boxes of several models averaged instead of suppressed."""

from typing import Literal, get_args

import torch
from torch import Tensor

from kedge.boxes import iou

Confidence = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]


def _prepare(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    model: Tensor | None,
    weights: Tensor | None,
    min_score: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Boxes, weighted scores, labels, models (best first, CPU, float64); model weights."""
    count = len(boxes)
    labels = torch.zeros(count, dtype=torch.int64) if labels is None else labels.cpu()
    model = torch.zeros(count, dtype=torch.int64) if model is None else model.cpu()
    if not len(scores) == len(labels) == len(model) == count:
        raise ValueError(
            "weighted_box_fusion: boxes, scores, labels and model must be equally long, got "
            f"{count}, {len(scores)}, {len(labels)}, {len(model)}"
        )
    highest = int(model.max()) if count else 0
    weights = torch.ones(highest + 1) if weights is None else weights.cpu()
    if highest >= len(weights):
        raise ValueError(
            f"weighted_box_fusion: model {highest} is not among {len(weights)} weights"
        )
    weights, scores = weights.double(), scores.cpu().double()
    weighted = scores * weights[model]
    order = torch.argsort(weighted, descending=True, stable=True)
    order = order[((scores >= min_score) & (weighted > 0))[order]]
    return boxes.cpu().double()[order], weighted[order], labels[order], model[order], weights


def _clusters(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Cluster (n,) of boxes sorted best first: the fused box of largest IoU, else a new one."""
    sums, mass, of = torch.zeros_like(boxes), torch.zeros_like(scores), torch.zeros_like(labels)
    member = torch.empty_like(labels)
    used = 0
    for i in range(len(boxes)):
        fused = sums[:used] / mass[:used, None]
        overlap = torch.where(of[:used] == labels[i], iou(boxes[i], fused), -1.0)
        cluster = int(overlap.argmax()) if used else 0
        if not used or overlap[cluster] <= threshold:
            cluster, used = used, used + 1
        sums[cluster] += scores[i] * boxes[i]
        mass[cluster] += scores[i]
        of[cluster] = labels[i]
        member[i] = cluster
    return member


def _confidence(
    scores: Tensor,
    cluster: Tensor,
    model: Tensor,
    weights: Tensor,
    kind: Confidence,
    overflow: bool,
) -> Tensor:
    """Score of every cluster from the weighted ``scores`` of its members."""
    used = int(cluster.max()) + 1
    zeros = scores.new_zeros(used)
    count = zeros.index_add(0, cluster, torch.ones_like(scores))
    mean = zeros.index_add(0, cluster, scores) / count
    if kind == "max":
        return zeros.scatter_reduce(0, cluster, scores, "amax") / weights.max()
    if kind == "avg":
        share = count if overflow else count.clamp(max=len(weights))
        return mean * share / weights.sum()
    members = zeros.index_add(0, cluster, weights[model])
    present = torch.zeros(used, len(weights), dtype=scores.dtype)
    present[cluster, model] = 1
    known = present @ weights
    if kind == "absent_model_aware_avg":
        return mean * count / (members + weights.sum() - known)
    if kind == "box_and_model_avg":
        return mean * count / members * known / weights.sum()
    raise ValueError(f"weighted_box_fusion: kind {kind!r} is not one of {get_args(Confidence)}")


@torch.no_grad()
def weighted_box_fusion(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    model: Tensor | None = None,
    weights: Tensor | None = None,
    threshold: float = 0.55,
    kind: Confidence = "avg",
    allow_overflow: bool = False,
    min_score: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (k, 4), scores (k,) and labels (k,) of the fused detections of one image, best first.

    Arguments as in `kedge.select.nms`; ``model`` (n,) int64 says which model each box comes from
    (None: one model), ``weights`` (M,) how much each model counts (None: one each). Boxes below
    ``min_score`` are left out. Best weighted score first, a box joins the fused box of its class
    with the largest IoU above ``threshold``, or starts a new one; coordinates are the mean weighted
    by score times model weight.

    The fused score starts from the members' mean weighted score, n members: "avg" times
    ``min(M, n) / sum(weights)`` (``allow_overflow``: n); "max" is the largest one over the largest
    weight; "absent_model_aware_avg" and "box_and_model_avg" count the weights of absent and present
    models.

    Sequential in the boxes; runs on the CPU and returns to the device of ``boxes``. Raises
    ValueError for arguments that do not fit together.

    Source: Solovyev et al., arXiv:1910.13302, and its released code for the four scores.
    Deviation: pixels, not coordinates normalised to [0, 1]; the IoU is the same.
    """
    device = boxes.device
    place, weighted, labels, model, weights = _prepare(
        boxes, scores, labels, model, weights, min_score
    )
    if not len(place):
        return boxes[:0], scores[:0], labels.to(device)
    cluster = _clusters(place, weighted, labels, threshold)
    used = int(cluster.max()) + 1
    mass = weighted.new_zeros(used).index_add(0, cluster, weighted)
    fused = weighted.new_zeros(used, 4).index_add(0, cluster, weighted[:, None] * place)
    result = _confidence(weighted, cluster, model, weights, kind, allow_overflow)
    label = labels.new_zeros(used).scatter(0, cluster, labels)
    best = torch.argsort(result, descending=True, stable=True)
    fused = (fused / mass[:, None])[best].to(device, boxes.dtype)
    return fused, result[best].to(device, scores.dtype), label[best].to(device)


@torch.no_grad()
def fuse_groups(
    boxes: Tensor, scores: Tensor, groups: Tensor, *, threshold: float = 0.55
) -> tuple[Tensor, Tensor, Tensor]:
    """``weighted_box_fusion`` of one model within groups (n,), for a single detector's boxes.

    Gives for every fused box the row (k,) of the best box in it, its score (k,), the mean of its
    members', and the box (k, 4), best first.
    """
    kept, score, fused = [], [], []
    for group in groups.unique().tolist():
        rows = (groups == group).nonzero()[:, 0]
        rows = rows[torch.argsort(scores[rows], descending=True, stable=True)]
        place, own = boxes[rows].cpu().double(), scores[rows].cpu().double()
        member = _clusters(place, own, torch.zeros(len(rows), dtype=torch.int64), threshold)
        used = int(member.max()) + 1
        mass = own.new_zeros(used).index_add(0, member, own)
        mean = own.new_zeros(used, 4).index_add(0, member, own[:, None] * place) / mass[:, None]
        first = torch.full((used,), len(rows)).scatter_reduce(
            0, member, torch.arange(len(rows)), "amin"
        )
        kept.append(rows[first.to(rows.device)])
        score.append((mass / torch.bincount(member)).to(scores))
        fused.append(mean.to(boxes))
    if not kept:
        return groups[:0], scores[:0], boxes[:0]
    rows, score, fused = torch.cat(kept), torch.cat(score), torch.cat(fused)
    order = torch.argsort(score, descending=True, stable=True)
    return rows[order], score[order], fused[order]
