"""GradientWarmup: the paper's warm-up of learned shapes, by soft assignment and clustering."""

import torch
from torch import Tensor, nn

from kedge.anchors.grid import Grid
from kedge.assign.soft_cell import SoftCell
from kedge.losses.clustering import clustering_loss
from kedge.types import Targets


class GradientWarmup(nn.Module):
    """The paper's warm-up: soft assignment, and a clustering loss, both fading over ``steps``.

    The temperature of the soft assignment falls linearly from ``temperature`` to 0, the weight of
    the clustering term from ``clustering`` to 0; then the detector's own rule takes over.
    ``soft=False`` or ``clustering=0`` switch one of the two off (the paper's ablation).

    Source: Zhong et al., arXiv:1812.00469, section 3.3; there ``steps`` is 1,500 at batch size 64.
    """

    step: Tensor

    def __init__(
        self,
        *,
        steps: int,
        temperature: float = 2.0,
        clustering: float = 1.0,
        soft: bool = True,
    ) -> None:
        super().__init__()
        if steps < 1 or temperature <= 0 or clustering < 0:
            raise ValueError(
                "GradientWarmup needs steps >= 1, temperature > 0 and clustering >= 0, "
                f"got {steps}, {temperature}, {clustering}"
            )
        self.steps, self.temperature = steps, temperature
        self.clustering, self.soft = clustering, soft
        self.register_buffer("step", torch.tensor(0))

    @property
    def active(self) -> bool:
        """Whether steps are left."""
        return int(self.step) < self.steps

    @property
    def left(self) -> float:
        """The share of the warm-up that is left: 1 at the start, 0 at the end."""
        return max(0.0, 1 - int(self.step) / self.steps)

    def assigner(self) -> SoftCell | None:
        """The soft rule of this step; None where the detector's own holds."""
        if not (self.soft and self.active):
            return None
        return SoftCell(temperature=self.temperature * self.left)

    def loss(self, grid: Grid, targets: Targets) -> Tensor:
        """The clustering term of this step, weighted: a scalar that is differentiable in the
        shapes."""
        if not self.active or self.clustering == 0:
            return grid.shapes.sum() * 0
        cell = grid.in_cell(targets)
        with torch.no_grad():
            score = -cell.log_residual().square().sum(1)
            if self.soft:
                share = cell.softmax_per_target(score / (self.temperature * self.left))
            else:
                share = cell.top_per_target(score, k=1).to(score)
        return self.clustering * self.left * clustering_loss(cell, share)

    def advance(self) -> None:
        """Ends a step."""
        self.step += 1
