"""A subnet whose last layer is generated from the anchor shapes that it is to answer for."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.blocks import output, tower
from kedge.nn.heads import prior_bias, rows


class GeneratedSubnet(nn.Module):
    """RetinaNet's subnet, whose last layer is a function of a shape: ``theta + W2 relu(W1 b)``.

    Maps (B, width, H, W) and, for each, its priors b (A, 2), logarithms of width and height in
    those of the level's reference, any number of them; to (B, N, outputs): all levels, anchors in
    the order level, y, x, shape. ``theta`` is shared by all shapes; the rest starts at 0. With
    ``prior`` the bias makes a sigmoid start at that probability. Differentiable in b.

    Source: Yang et al., arXiv:1807.00980, section 3.2, eq. 4 and 5 (data-independent). Deviation:
    the number of ``hidden`` units is not known; biases are generated, too.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        hidden: int = 128,
        depth: int = 4,
        prior: float | None = None,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.tower = tower(width, depth, norm=norm, bias=not norm)
        self.theta = output(width, outputs, start=0.0 if prior is None else prior_bias(prior))
        self.first = nn.Linear(2, hidden)
        self.second = nn.Linear(hidden, outputs * (9 * width + 1), bias=False)
        nn.init.zeros_(self.second.weight)

    def layer(self, priors: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (A outputs, width, 3, 3) and biases (A outputs,) for priors (A, 2)."""
        weight, bias = self.theta.weight, self.theta.bias
        assert bias is not None
        change = self.second(self.first(priors).relu()).view(len(priors), len(bias), -1)
        weights = weight + change[..., 1:].reshape(len(priors), *weight.shape)
        return weights.flatten(0, 1), (bias + change[..., 0]).flatten()

    def forward(self, maps: list[Tensor], priors: list[Tensor]) -> Tensor:
        found = []
        for x, shapes in zip(maps, priors, strict=True):
            weight, bias = self.layer(shapes)
            found.append(rows(F.conv2d(self.tower(x), weight, bias, padding=1), len(shapes)))
        return torch.cat(found, 1)
