"""AnnealedWarmup: how learned shapes find their place in the first steps of training, in any
detector, by clustering the objects of the batches online. It needs no gradient and few steps."""

import torch
from torch import Tensor

from kedge.anchors.learned import LearnedShapes
from kedge.boxes import sizes
from kedge.detectors.object_warmup import ObjectWarmup

LEAST_MASS = 1e-9  # of a shape, of all objects


class AnnealedWarmup(ObjectWarmup):
    """Online expectation maximisation of the shapes over the objects of the batches, as T falls.

    Every step takes the responsibilities ``softmax(-d / T)`` of the S shapes for every object,
    ``d`` the squared distance of log sizes, into running sums, and sets each shape to its weighted
    mean. T falls geometrically from ``temperature[0]`` to ``temperature[1]``, in units of the
    variance of the log sizes. High temperatures draw all shapes to one point; as T falls they part
    where the data part (Rose, "Deterministic annealing for clustering", Proc. IEEE 1998), so the
    outcome hardly depends on the start: the first step forgets it altogether. A trace of ``noise``
    breaks the ties. Shapes are kept in order of area, so on a pyramid the finest level has the
    smallest. Places are nothing to it, which on a pyramid costs much (``PlacedWarmup``): coarse
    levels get shapes that fit small objects best, and their cells are farther apart than those.

    With ``num_classes`` an object counts as much less as its class had more objects so far than
    the mean class that had any.

    The noise is a function of ``seed`` and the step. A batch without objects counts as a step and
    changes nothing.

    Source: ours; it takes the place of the paper's warm-up (``GradientWarmup``) in short schedules.
    """

    of_class: Tensor
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
        seed: int = 0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(steps=steps, seed=seed, num_classes=num_classes)
        if not 0 < temperature[1] <= temperature[0]:
            raise ValueError(f"temperature must fall from a to b > 0, got {temperature}")
        self.memory, self.temperature, self.noise = memory, temperature, noise
        self.register_buffer("mass", torch.zeros(num_shapes))
        self.register_buffer("total", torch.zeros(num_shapes, 2))
        self.register_buffer("moments", torch.zeros(2, 2))
        if num_classes is not None:
            self.register_buffer("of_class", torch.zeros(num_classes))

    def _weights(self, label: Tensor) -> Tensor:
        """(n,) what objects of class ``label`` (n,) count."""
        if self.num_classes is None:
            return torch.ones_like(label, dtype=self.mass.dtype)
        self.of_class += label.bincount(minlength=self.num_classes)
        each = self.of_class.sum() / (self.of_class > 0).sum()
        return each / self.of_class[label]

    def see(self, anchors: LearnedShapes, boxes: Tensor, label: Tensor) -> None:
        """One step on objects (n, 4) of class ``label`` (n,); none change nothing."""
        if len(boxes) == 0:
            return
        boxes, step = boxes.to(self.total), int(self.step) - 1
        done = step / max(self.steps - 1, 1)
        fresh = not bool(self.mass.any())
        # the running sums forget in 1 / rate steps: quickly at first, more slowly towards the end
        rate = 1.0 if fresh else min(0.5, self.memory / self.steps) * (1 - done / 2)
        log, weight = sizes(boxes).log(), self._weights(label)[:, None]
        even = weight / weight.mean()
        moments = (even * log).mean(0), (even * log.square()).mean(0)
        self.moments.lerp_(torch.stack(moments), rate)
        spread = (self.moments[1] - self.moments[0].square()).sum().clamp(min=1e-6)
        start, end = self.temperature
        heat = spread * start * (end / start) ** done
        middle = self.moments[0].expand_as(self.total) if fresh else self.total / self.mass[:, None]
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        jitter = torch.randn(middle.shape, generator=random).to(middle)
        centre = middle + self.noise * heat.sqrt() * jitter
        cost = (log[:, None] - centre).square().sum(-1)
        share = weight * (-cost / heat).softmax(dim=1)
        self.mass.lerp_(share.mean(0), rate).clamp_(min=LEAST_MASS)
        self.total.lerp_((share[..., None] * log[:, None]).mean(0), rate)
        starved = (self.mass == LEAST_MASS)[:, None]  # by all objects: such a shape stays
        self.total.copy_(torch.where(starved, middle * LEAST_MASS, self.total))
        order = (self.total / self.mass[:, None]).sum(1).argsort(stable=True)
        self.mass.copy_(self.mass[order])
        self.total.copy_(self.total[order])
        anchors.set_shapes_((self.total / self.mass[:, None]).exp())
