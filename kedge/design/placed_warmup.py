"""PlacedWarmup: how learned shapes of a pyramid find their place in the first steps of training, in
any detector: they are designed for the objects that the batches have shown so far."""

import numpy as np
import torch
from torch import Tensor

from kedge.anchors.learned import LearnedShapes
from kedge.boxes import sizes
from kedge.design.balance import class_weights
from kedge.design.on_levels import shapes_on_levels
from kedge.detectors.annealed_warmup import AnnealedWarmup
from kedge.detectors.object_warmup import ObjectWarmup
from kedge.ranks import as_on_first_

ROOM = 4096  # objects that are kept, the first ones
GROWTH = 4  # so many times more objects ask for another design


class PlacedWarmup(ObjectWarmup):
    """Sets the shapes of a pyramid to those with which most objects of the sizes seen so far get an
    anchor of an IoU of .5 on the real cells (``shapes_on_levels``), as many on each level as there
    are.

    It does so for the objects of the first step that has any, each time that there are four times
    as many, and for the last time at 4096 of them or at the last step. So where the shapes stood
    at the start does not matter, and what comes out is what a design from all boxes would choose,
    without a pass over them. Shapes are in order of area within a level. A design of 25 shapes
    takes half a second to one of a processor, and there are seven at most.

    A batch without objects counts as a step. The cells of a level count as squares of their mean
    side, and all levels have one offset in their cells, the mean.

    Source: ours; it takes the place of the paper's warm-up (``GradientWarmup``) in short schedules.
    """

    boxes: Tensor
    label: Tensor
    seen: Tensor
    designed_for: Tensor

    def __init__(self, *, steps: int, seed: int = 0, num_classes: int | None = None) -> None:
        super().__init__(steps=steps, seed=seed, num_classes=num_classes)
        self.register_buffer("boxes", torch.zeros(ROOM, 4))
        if num_classes is not None:
            self.register_buffer("label", torch.zeros(ROOM, dtype=torch.int64))
        self.register_buffer("seen", torch.tensor(0))  # how many of ``boxes`` are objects
        self.register_buffer("designed_for", torch.tensor(0))  # how many had the last design

    def see(self, anchors: LearnedShapes, boxes: Tensor, label: Tensor) -> None:
        """One step on objects (n, 4) of class ``label`` (n,)."""
        before, last = int(self.seen), int(self.designed_for)
        boxes = boxes[: ROOM - before]
        seen = before + len(boxes)
        self.boxes[before:seen] = boxes
        if self.num_classes is not None:
            self.label[before:seen] = label[: len(boxes)]
        self.seen.fill_(seen)
        if seen > last and (seen >= GROWTH * last or seen == ROOM or not self.active):
            with torch.autocast("cpu", enabled=False):  # a search sees small differences
                shapes = designed(anchors, self.boxes[:seen].cpu(), self._weights(), self.seed)
            anchors.set_shapes_(shapes)
            as_on_first_([anchors.log_shapes])
            self.designed_for.fill_(seen)

    def _weights(self) -> np.ndarray | None:
        """(n,) what the objects that are kept count; None: 1."""
        return None if self.num_classes is None else class_weights(self.label[: self.seen].cpu())


def designed(
    anchors: LearnedShapes, boxes: Tensor, weights: np.ndarray | None = None, seed: int = 0
) -> Tensor:
    """(S, 2) the shapes for objects like ``boxes`` (n, 4), in pixels, each of which counts
    ``weights`` (n,), on the levels of ``anchors``."""
    width, height = boxes[:, 2:].amax(0).ceil().clamp(min=1).int().tolist()
    levels = shapes_on_levels(
        sizes(boxes),
        image_size=(height, width),
        strides=anchors.level_strides().log().mean(1).exp().tolist(),
        per_level=anchors.level_of_shapes().bincount().tolist(),
        offset=float(anchors.level_offsets().mean()),
        weights=weights,
        seed=seed,
    )
    return torch.tensor([shape for level in levels for shape in level])


def placed_warmup(
    anchors: LearnedShapes, steps: int, num_classes: int | None = None
) -> ObjectWarmup:
    """The warm-up of ``anchors`` by the objects of ``steps`` batches: on one level places are
    nothing to the choice of shapes, so that they are clustered as they come."""
    if len(anchors.levels) == 1:
        return AnnealedWarmup(steps=steps, num_shapes=len(anchors), num_classes=num_classes)
    return PlacedWarmup(steps=steps, num_classes=num_classes)
