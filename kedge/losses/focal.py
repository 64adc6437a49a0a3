"""The focal loss of RetinaNet."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce


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

    Raises ValueError when the shapes differ.

    Source: Lin et al., arXiv:1708.02002, eq. 5.
    """
    check_same_shape(inputs, targets, "focal_loss")
    inputs, targets = at_least_float32(inputs, targets)
    log_p, log_rest = F.logsigmoid(inputs), F.logsigmoid(-inputs)
    # powers as exponentials: finite gradients where p underflows, for every gamma
    positive = -targets * torch.exp(gamma * log_rest) * log_p
    negative = (targets - 1) * torch.exp(gamma * log_p) * log_rest
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return reduce(positive + negative, reduction)
