"""One minus a similarity of `kedge.boxes`: IoU, GIoU, DIoU, CIoU, EIoU, SIoU, NWD losses.

All take predicted ``inputs`` (P, 4) and ``targets`` (P, 4), ``xyxy`` in pixels, row p with row p,
and give one number per pair. A predicted box with a negative side counts as one with side zero.
Values and gradients are finite for every finite box; no pairs give 0 connected to the graph.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from kedge import boxes
from kedge.losses.reduce import Reduction, check_same_shape, reduce


def prepare(inputs: Tensor, targets: Tensor, loss: str) -> tuple[Tensor, Tensor]:
    """Checked (P, 4) pairs, at least float32, the predictions without negative sides."""
    check_same_shape(inputs, targets, loss)
    if inputs.ndim == 0 or inputs.shape[-1] != 4:
        raise ValueError(f"{loss}: boxes must be (P, 4) xyxy, got {tuple(inputs.shape)}")
    inputs, targets = boxes.at_least_float32(inputs, targets)
    return boxes.unflip(inputs), targets


def _one_minus(
    similarity: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    reduction: Reduction,
) -> Tensor:
    inputs, targets = prepare(inputs, targets, f"{similarity.__name__}_loss")
    return reduce(1 - similarity(inputs, targets), reduction)


def iou_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    form: Literal["linear", "square", "log"] = "linear",
    reduction: Reduction = "mean",
) -> Tensor:
    """``1 - IoU`` ("linear"), ``1 - IoU^2`` ("square", YOLOX) or ``-log IoU`` ("log", UnitBox).

    The logarithm stops at IoU 1e-6. Pairs that do not overlap have no gradient in any form.

    Source: Yu et al., arXiv:1608.01471 (log); Ge et al., arXiv:2107.08430 (square).
    """
    inputs, targets = prepare(inputs, targets, "iou_loss")
    overlap = boxes.iou(inputs, targets)
    if form == "linear":
        loss = 1 - overlap
    elif form == "square":
        loss = 1 - overlap.square()
    elif form == "log":
        loss = -torch.log(overlap.clamp(min=1e-6))
    else:
        raise ValueError(f"iou_loss: form {form!r} must be 'linear', 'square' or 'log'")
    return reduce(loss, reduction)


def giou_loss(inputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``1 - GIoU``, see `kedge.boxes.giou`. Source: arXiv:1902.09630."""
    return _one_minus(boxes.giou, inputs, targets, reduction)


def diou_loss(inputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``1 - DIoU``, see `kedge.boxes.diou`. Source: arXiv:1911.08287."""
    return _one_minus(boxes.diou, inputs, targets, reduction)


def ciou_loss(inputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``1 - CIoU``, see `kedge.boxes.ciou`. Source: arXiv:1911.08287."""
    return _one_minus(boxes.ciou, inputs, targets, reduction)


def eiou_loss(
    inputs: Tensor, targets: Tensor, *, gamma: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    """``IoU^gamma * (1 - EIoU)``, see `kedge.boxes.eiou`. ``gamma`` 0 is EIoU, 0.5 Focal-EIoU.

    The factor carries no gradient. Source: Zhang et al., arXiv:2101.08158. Not MMDetection's
    ``EIoULoss`` (Extended IoU). Deviation: the paper does not say whether the factor is detached;
    it is here, so that a pair without overlap has a finite gradient.
    """
    inputs, targets = prepare(inputs, targets, "eiou_loss")
    loss = 1 - boxes.eiou(inputs, targets)
    if gamma:
        loss = boxes.iou(inputs, targets).detach() ** gamma * loss
    return reduce(loss, reduction)


def siou_loss(inputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``1 - SIoU`` with the paper's sign, see `kedge.boxes.siou`. Source: arXiv:2205.12740."""
    return _one_minus(boxes.siou, inputs, targets, reduction)


def nwd_loss(
    inputs: Tensor, targets: Tensor, *, constant: float = 12.8, reduction: Reduction = "mean"
) -> Tensor:
    """``1 - NWD`` for tiny objects, see `kedge.boxes.nwd`. Source: arXiv:2110.13389."""
    inputs, targets = prepare(inputs, targets, "nwd_loss")
    return reduce(1 - boxes.nwd(inputs, targets, constant), reduction)
