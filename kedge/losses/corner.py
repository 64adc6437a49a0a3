"""The losses of heat maps, and of embeddings that say which points belong together."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.boxes import at_least_float32
from kedge.losses.reduce import Reduction, check_same_shape, reduce
from kedge.ranks import num_ranks, per_rank


def gaussian_focal_loss(
    inputs: Tensor,
    heat: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 4.0,
    reduction: Reduction = "sum",
) -> Tensor:
    """The focal loss of a heat map, whose targets fall off around every point.

    ``inputs`` are logits of any shape, ``heat`` of the same shape in [0, 1]; only where it is 1 is
    there a point. With p = sigmoid(inputs): ``(1 - p)^alpha * -log p`` there, and ``(1 - heat)^beta
    * p^alpha * -log(1 - p)`` elsewhere. CornerNet divides the sum by the number of points.

    Raises ValueError when the shapes differ.

    Source: Law and Deng, arXiv:1808.01244, eq. 1. Deviation: the authors' code keeps p within 1e-4
    of its ends, which takes the gradient of what is farther off.
    """
    check_same_shape(inputs, heat, "gaussian_focal_loss")
    inputs, heat = at_least_float32(inputs, heat)
    log_p, log_rest = F.logsigmoid(inputs), F.logsigmoid(-inputs)
    point = -torch.exp(alpha * log_rest) * log_p
    elsewhere = -((1 - heat) ** beta) * torch.exp(alpha * log_p) * log_rest
    return reduce(torch.where(heat == 1, point, elsewhere), reduction)


def heat_loss(inputs: Tensor, heat: Tensor, counted: Tensor) -> Tensor:
    """``gaussian_focal_loss`` of maps (B, C, H, W), divided by their points, at least 1. Cells that
    are no points are left out where not ``counted`` (B, 1, H, W) bool."""
    loss = gaussian_focal_loss(inputs, heat, reduction="none")
    point = heat == 1
    return torch.where(counted | point, loss, 0.0).sum() / per_rank(point.sum(), 1)


def offset_loss(inputs: Tensor, offset: Tensor) -> Tensor:
    """Smooth L1 of offsets (G, 2) within cells, summed over x and y, averaged over the points."""
    return F.smooth_l1_loss(inputs, offset, reduction="sum") / per_rank(len(offset), 1)


def pull_push_loss(one: Tensor, other: Tensor, image: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """How far the embeddings of an object's two corners, ``one`` and ``other`` (G,), are apart, and
    how much those of different objects of an ``image`` (G,) are not.

    Pull: the squares of both corners' distances to their mean, averaged over an image's objects.
    Push: how much the means of two of its objects are nearer than 1, averaged over the pairs. Both
    are summed over the ``batch`` images; an image with one object pushes nothing.

    Source: Law and Deng, arXiv:1808.01244, eq. 4 and 5; Newell et al., arXiv:1611.05424. The
    authors' code adds 1e-4 to the numbers of objects and of pairs.
    """
    one, other = at_least_float32(one, other)
    mean = (one + other) / 2
    count = torch.bincount(image, minlength=batch)
    own = count[image].to(one)
    pull = (((one - mean).square() + (other - mean).square()) / own).sum()
    same = (image[:, None] == image) & ~torch.eye(len(image), dtype=torch.bool, device=image.device)
    near = F.relu(1 - (mean[:, None] - mean).abs())
    pairs = (own * (own - 1)).clamp(min=1)
    push = (torch.where(same, near, 0.0) / pairs[:, None]).sum()
    return num_ranks() * pull, num_ranks() * push  # sums, of which the ranks take the mean
