"""How learned shapes find their place in the first steps of training, in any detector.

``AnnealedWarmup`` clusters the objects of the batches online, by deterministic annealing: it needs
no gradient and few steps. ``GradientWarmup`` is the paper's: soft assignment and an online
clustering loss."""

import torch
from torch import Tensor, nn

from kedge.anchors.grid import Grid
from kedge.anchors.learned import LearnedShapes
from kedge.assign.soft_cell import SoftCell
from kedge.boxes import centres, sizes
from kedge.losses.clustering import clustering_loss
from kedge.ranks import gathered
from kedge.types import Targets

LEAST_MASS = 1e-9  # of a shape, of all objects
LEAST_OVERLAP = 1e-3  # of a side, with the nearest cell


class AnnealedWarmup(nn.Module):
    """Online expectation maximisation of the shapes over the objects of the batches, as T falls.

    Every step takes the responsibilities ``softmax(-d / T)`` of the S shapes for every object,
    ``d`` the squared distance of log sizes, into running sums, and sets each shape to its weighted
    mean. T falls geometrically from ``temperature[0]`` to ``temperature[1]``, in units of the
    variance of the log sizes. High temperatures draw all shapes to one point; as T falls they part
    where the data part (Rose, "Deterministic annealing for clustering", Proc. IEEE 1998), so the
    outcome hardly depends on the start: the first step forgets it altogether. A trace of ``noise``
    breaks the ties. Shapes are kept in order of area, so on a pyramid the finest level has the
    smallest.

    ``placed``: a shape also costs an object what lies between that and the nearest cell of the
    shape's level (``unplaced``), so that a coarse level is left to the objects that it can hold:
    large ones, and those that happen to lie about its cells; shapes are kept in order within a
    level only. Without it a pyramid deals small objects, where there are many, to levels whose
    cells are farther apart than the objects are long. On one level it changes nothing.

    Call ``update`` before the forward pass of every training step; after ``steps`` it does nothing.
    Running sums and the step are buffers, so they are part of a checkpoint. The noise is a function
    of ``seed`` and the step. A batch without objects counts as a step and changes nothing.

    Source: ours; it takes the place of the paper's warm-up (``GradientWarmup``) in short schedules.
    """

    step: Tensor
    mass: Tensor
    total: Tensor
    moments: Tensor

    def __init__(
        self,
        *,
        steps: int,
        num_shapes: int,
        memory: float = 24.0,
        temperature: tuple[float, float] = (2.0, 0.01),
        noise: float = 0.1,
        placed: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"AnnealedWarmup.steps must be at least 1, got {steps}")
        if not 0 < temperature[1] <= temperature[0]:
            raise ValueError(f"temperature must fall from a to b > 0, got {temperature}")
        self.steps, self.memory, self.temperature = steps, memory, temperature
        self.noise, self.placed, self.seed = noise, placed, seed
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("mass", torch.zeros(num_shapes))
        self.register_buffer("total", torch.zeros(num_shapes, 2))
        self.register_buffer("moments", torch.zeros(2, 2))

    @property
    def active(self) -> bool:
        """Whether steps are left."""
        return int(self.step) < self.steps

    @torch.no_grad()
    def update(self, anchors: LearnedShapes, targets: Targets) -> None:
        """One step on the objects of a batch: sets the shapes of ``anchors``."""
        if not self.active:
            return
        step = int(self.step)
        self.step += 1
        boxes = targets.boxes[~targets.ignore]
        boxes = gathered(boxes[(sizes(boxes) > 0).all(1)].to(self.total))
        if len(boxes) == 0:
            return
        done = step / max(self.steps - 1, 1)
        fresh = not bool(self.mass.any())
        # the running sums forget in 1 / rate steps: quickly at first, more slowly towards the end
        rate = 1.0 if fresh else min(0.5, self.memory / self.steps) * (1 - done / 2)
        log = sizes(boxes).log()
        self.moments.lerp_(torch.stack([log.mean(0), log.square().mean(0)]), rate)
        spread = (self.moments[1] - self.moments[0].square()).sum().clamp(min=1e-6)
        start, end = self.temperature
        heat = spread * start * (end / start) ** done
        middle = self.moments[0].expand_as(self.total) if fresh else self.total / self.mass[:, None]
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        jitter = torch.randn(middle.shape, generator=random).to(middle)
        centre = middle + self.noise * heat.sqrt() * jitter
        cost = (log[:, None] - centre).square().sum(-1)
        pyramid = self.placed and len(anchors.levels) > 1
        level = anchors.level_of_shapes().to(cost.device) if pyramid else None
        if level is not None:
            cost = (
                cost + unplaced(boxes, anchors.level_strides(), anchors.level_offsets())[:, level]
            )
        share = (-cost / heat).softmax(dim=1)
        self.mass.lerp_(share.mean(0), rate).clamp_(min=LEAST_MASS)
        self.total.lerp_((share[..., None] * log[:, None]).mean(0), rate)
        starved = (self.mass == LEAST_MASS)[:, None]  # by all objects: such a shape stays
        self.total.copy_(torch.where(starved, middle * LEAST_MASS, self.total))
        order = (self.total / self.mass[:, None]).sum(1).argsort(stable=True)
        if level is not None:
            order = order[level[order].argsort(stable=True)]
        self.mass.copy_(self.mass[order])
        self.total.copy_(self.total[order])
        anchors.set_shapes_((self.total / self.mass[:, None]).exp())


def unplaced(boxes: Tensor, strides: Tensor, offsets: Tensor) -> Tensor:
    """(n, L) what the places of ``boxes`` (n, 4) cost on levels with ``strides`` (L, 2), x then y,
    and anchors at ``offsets`` (L, 2) in their cells: minus the logarithm of the IoU with an anchor
    of the object's own shape at the nearest cell.

    An overlap along one axis counts as ``LEAST_OVERLAP`` of the side at least, so that an object
    which no cell reaches still has a finite cost. Cells go on beyond the border of the image.
    """
    strides, offsets = strides.to(boxes), offsets.to(boxes)
    cell = centres(boxes)[:, None] / strides - offsets
    away = (cell - cell.round()).abs() * strides
    shared = (1 - away / sizes(boxes)[:, None]).clamp(min=LEAST_OVERLAP).prod(-1)
    return -(shared / (2 - shared)).log()


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
