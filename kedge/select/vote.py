"""Score voting: boxes that stay move towards those that go."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.boxes import at_least_float32, iou

BLOCK = 1 << 24  # weights that are held at once


@torch.no_grad()
def score_voting(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    keep: Tensor,
    sigma: float = 0.025,
    min_iou: float = 0.01,
) -> Tensor:
    """Moves the boxes that NMS kept towards all boxes of their class, by score and closeness.

    ``keep`` (k,) indexes ``boxes`` (n, 4), which are all boxes *before* NMS; ``labels`` (n,) or
    None: one class. The voted box is the mean of the boxes with IoU above ``min_iou``, weighted by
    ``score * exp(-(1 - IoU)^2 / sigma)``, in double precision also under autocast. Gives boxes
    (k, 4). A kept box without area or with score 0 stays as it is.

    Source: Kim and Lee, arXiv:2007.08103 (PAA), score voting.
    """
    boxes, scores = at_least_float32(boxes, scores)
    parts = keep.split(max(1, BLOCK // max(len(boxes), 1)))
    voted = [_vote(boxes, scores, labels, part, sigma, min_iou) for part in parts]
    return torch.cat(voted) if voted else boxes[:0]


def _vote(
    boxes: Tensor, scores: Tensor, labels: Tensor | None, keep: Tensor, sigma: float, min_iou: float
) -> Tensor:
    overlap = iou(boxes[keep][:, None], boxes[None])
    near = overlap > min_iou
    if labels is not None:
        near &= labels[keep][:, None] == labels[None]
    weight = torch.exp(-(1 - overlap).square() / sigma) * scores * near
    total = weight.sum(dim=1, keepdim=True)
    with torch.autocast(boxes.device.type, enabled=False):  # else the product is in half precision
        mean = weight.double() @ boxes.double() / total.double().clamp(min=1e-30)
    return torch.where(total > 0, mean.to(boxes.dtype), boxes[keep])


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreVoting:
    """``score_voting`` as a part of a ``Selection``."""

    sigma: float = 0.025
    min_iou: float = 0.01

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor, keep: Tensor) -> Tensor:
        """Boxes (k, 4) for those that stay."""
        return score_voting(
            boxes, scores, groups, keep=keep, sigma=self.sigma, min_iou=self.min_iou
        )
