"""ObjectWarmup: what the warm-ups of learned shapes share that need no gradient."""

import torch
from torch import Tensor, nn

from kedge.anchors.learned import LearnedShapes
from kedge.boxes import sizes
from kedge.ranks import gathered
from kedge.types import Targets


class ObjectWarmup(nn.Module):
    """Sets learned shapes by the objects of the batches, for ``steps`` steps of a training.

    Call ``update`` before the forward pass of every training step; after ``steps`` it does nothing.
    What a warm-up remembers are buffers, so they are part of a checkpoint. ``num_classes``: there
    are so many, and every class that was seen counts the same; None: every object does.
    """

    step: Tensor

    def __init__(self, *, steps: int, seed: int = 0, num_classes: int | None = None) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"{type(self).__name__}.steps must be at least 1, got {steps}")
        self.steps, self.seed, self.num_classes = steps, seed, num_classes
        self.register_buffer("step", torch.tensor(0))

    @property
    def active(self) -> bool:
        """Whether steps are left."""
        return int(self.step) < self.steps

    @torch.no_grad()
    def update(self, anchors: LearnedShapes, targets: Targets) -> None:
        """One step on the objects of a batch: sets the shapes of ``anchors``."""
        if not self.active:
            return
        self.step += 1
        seen = ~targets.ignore & (sizes(targets.boxes) > 0).all(1)
        boxes = gathered(targets.boxes[seen].to(self.step.device, torch.float32))
        self.see(anchors, boxes, gathered(targets.labels[seen].to(self.step.device)))

    def see(self, anchors: LearnedShapes, boxes: Tensor, label: Tensor) -> None:
        """What a step makes of ``boxes`` (n, 4) of class ``label`` (n,): the objects of all
        processes that are no crowds and have an area, maybe none."""
        raise NotImplementedError
