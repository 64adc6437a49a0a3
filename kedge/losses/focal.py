"""The focal loss of RetinaNet."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce

BLOCK = 1 << 15  # logits at once on a processor


def focal_loss(
    inputs: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Sigmoid focal loss: cross-entropy that fades where the prediction is already right.

    ``inputs`` are logits of any shape, ``targets`` of the same shape in [0, 1]. With p =
    sigmoid(inputs): ``targets * alpha * (1 - p)^gamma * -log p + (1 - targets) * (1 - alpha) *
    p^gamma * -log(1 - p)``. ``alpha=None`` leaves the balance out, ``gamma=0`` is cross-entropy.
    RetinaNet divides the sum by ``max(1, number of positives)``.

    Hard targets give `torchvision.ops.sigmoid_focal_loss`. Soft targets (``Assignment.quality``)
    give the loss *expected* under the soft label, linear in the target as in NoisyAnchors
    (arXiv:1912.05086); torchvision's is not linear there.

    Differentiable once. Raises ValueError when the shapes differ.

    Source: Lin et al., arXiv:1708.02002, eq. 5.
    """
    check_same_shape(inputs, targets, "focal_loss")
    inputs, targets = at_least_float32(inputs, targets)
    present, absent = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    loss = _Focal.apply(inputs, targets, present, absent, gamma)
    return reduce(loss, reduction)  # pyright: ignore[reportArgumentType]


class _Focal(torch.autograd.Function):
    """The loss of every logit, whose slope is known as soon as it is: one pass, block by block, so
    that a processor's cache holds what lies between. Autograd would keep ten tensors of all."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, targets: Tensor, present: float, absent: float, gamma: float
    ) -> Tensor:
        whole = inputs.device.type != "cpu" or torch.compiler.is_compiling()
        size = max(1, inputs.numel() if whole else BLOCK)
        loss, slope = (inputs.new_empty(inputs.numel()) for _ in range(2))
        parts = (t.reshape(-1).split(size) for t in (inputs, targets, loss, slope))
        by_target = []
        for x, t, out, along in zip(*parts):
            soft = _log1p(torch.exp(-x.abs()))
            log_p, log_rest = x.clamp(max=0) - soft, x.clamp(min=0).neg_() - soft
            p, rest = log_p.exp(), log_rest.exp()
            # powers as exponentials: finite where p underflows, for every gamma
            positive = torch.exp(gamma * log_rest).mul_(present)
            negative = torch.exp(gamma * log_p).mul_(absent)
            if ctx.needs_input_grad[1]:
                by_target.append(negative * log_rest - positive * log_p)
            torch.add(t * positive * log_p, (1 - t) * negative * log_rest, out=out).neg_()
            positive *= gamma * p * log_p - rest
            negative *= p - gamma * rest * log_rest
            torch.add(t * positive, (1 - t) * negative, out=along)
        ctx.save_for_backward(slope, torch.cat(by_target) if by_target else None)
        return loss.view_as(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), saved = grads, ctx.saved_tensors
        by = [None if rate is None else grad * rate.view_as(grad) for rate in saved]
        return by[0], by[1], None, None, None


def _log1p(values: Tensor) -> Tensor:
    """``log(1 + values)`` of values in [0, 1], to the last bit or the one before: several times
    faster on a processor than ``torch.log1p``."""
    whole = 1 + values
    return whole.log().add_((values - (whole - 1)).div_(whole))
