"""Which anchors answer for which objects: everything that the checks of anchors read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kedge.anchors.queries.overlap import placed_iou
from kedge.boxes import sizes
from kedge.doctor.objects import Objects
from kedge.doctor.setup import Setup
from kedge.types import Targets

_ANCHORS = 4_000_000  # anchors of a batch of images: memory stays flat
_BOXES = 20_000
FLOOR = 0.2  # lowest threshold of the sweeps


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What ``setup`` makes of the fair objects (n, crowds left out) of some images (m).

    ``best`` (n,) largest IoU with any anchor on the grid (of shapes alone where the strategy looks
    at no more: ``Setup.thresholded``) and ``best_shape`` (n,) its shape; ``aligned`` (n,) the
    largest IoU with centres moved together, ``aligned_shape`` (n,) its shape; ``positives`` (n,)
    anchors assigned. ``per_shape`` (S,) and ``per_image`` (m,) count positives; ``anchors`` and
    ``ignored`` count all anchors of all images. ``codes`` (P, D): regression targets of the
    positives, ``residual`` (P, 4): centre shift in strides (x, y) and log size ratio, object to
    anchor.
    """

    best: NDArray[np.float64]
    best_shape: NDArray[np.int64]
    aligned: NDArray[np.float64]
    aligned_shape: NDArray[np.int64]
    positives: NDArray[np.int64]
    per_shape: NDArray[np.int64]
    per_image: NDArray[np.int64]
    anchors: int
    ignored: int
    codes: NDArray[np.float64]
    residual: NDArray[np.float64]

    def covered(self, threshold: float) -> NDArray[np.bool_]:
        """(n,) objects with an anchor of at least this IoU."""
        return self.best >= threshold


def batches(setup: Setup, objects: Objects) -> Iterator[Targets]:
    """All images of ``objects`` in batches that keep the number of anchors in memory bounded."""
    images = len(objects.size)
    step = max(1, _ANCHORS // max(1, len(setup.grid)))
    for first in range(0, images, step):
        yield objects.targets(first, min(images, first + step))


@torch.no_grad()
def answer(setup: Setup, objects: Objects) -> Answers:
    """Assign all objects (in pixels of the network's input) with ``setup``."""
    grid = setup.grid
    parts: list[tuple[Tensor, ...]] = []
    per_shape = torch.zeros(grid.num_shapes, dtype=torch.int64)
    ignored, images = 0, len(objects.size)
    for targets in batches(setup, objects):
        fair = ~targets.ignore
        assignment = setup.counted(grid, targets)
        index = assignment.anchor
        per_shape += torch.bincount(grid.shape_index(index), minlength=grid.num_shapes)
        ignored += len(assignment.ignored)
        boxes, truth = grid.boxes(index), targets.boxes[assignment.target]
        stride = grid.stride(index)
        shift = ((truth[:, :2] + truth[:, 2:]) - (boxes[:, :2] + boxes[:, 2:])) / 2 / stride
        growth = (sizes(truth).clamp(min=1e-6) / sizes(boxes)).log()
        positives = torch.bincount(assignment.target, minlength=len(targets))
        image = torch.bincount(assignment.image, minlength=targets.batch_size)
        parts.append(
            (
                *fit_of(setup, targets.boxes[fair]),
                positives[fair],
                image,
                setup.coder.encode(boxes, truth, stride).double(),
                torch.cat([shift, growth], dim=1).double(),
            )
        )
    columns: list[NDArray[Any]] = (
        [torch.cat(column).numpy() for column in zip(*parts)] if parts else _nothing()
    )
    best, shape, aligned, form, positives_, per_image, codes, residual = columns
    return Answers(
        best=best,
        best_shape=shape,
        aligned=aligned,
        aligned_shape=form,
        positives=positives_,
        per_shape=per_shape.numpy(),
        per_image=per_image,
        anchors=images * len(grid),
        ignored=ignored,
        codes=codes,
        residual=residual,
    )


def _nothing() -> list[NDArray[Any]]:
    whole, real, wide = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4))
    return [real, whole, real, whole, whole, whole, wide, wide]


@torch.no_grad()
def fit_of(setup: Setup, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Largest IoU on the grid (n,) and the shape that has it (n,); largest IoU of shapes with
    centres moved together (n,) and that shape (n,); of ``boxes`` (n, 4). The second pair stands for
    the first where the strategy compares shapes alone (the centre then is the cell's affair)."""
    grid, parts = setup.grid, []
    shape = grid.shapes.detach().double()
    for part in boxes.split(_BOXES) if len(boxes) else [boxes]:
        side = sizes(part.double())
        shared = torch.minimum(side[:, None], shape).prod(-1)
        aligned = shared / (side.prod(-1)[:, None] + shape.prod(-1) - shared)
        placed = placed_iou(grid, part.double()) if setup.thresholded else aligned
        value, index = placed.max(dim=1)
        parts.append((value, index, *aligned.max(dim=1)))
    value, index, aligned, form = (torch.cat(column) for column in zip(*parts))
    return value, index, aligned, form


@torch.no_grad()
def alone(setup: Setup, boxes: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each of ``boxes`` (n, 4) has a positive when it is the only object of its image (n,),
    and whether an anchor's centre lies inside it (n,)."""
    single = Objects(
        xyxy=boxes,
        label=np.zeros(len(boxes), np.int64),
        crowd=np.zeros(len(boxes), bool),
        image=np.arange(len(boxes)),
        size=np.tile(np.array(setup.image_size[::-1], np.float64), (len(boxes), 1)),
    )
    answered, inside = [np.zeros(0, bool)], [np.zeros(0, bool)]
    for targets in batches(setup, single):
        count = len(targets)
        chosen = setup.counted(setup.grid, targets).target
        answered.append((torch.bincount(chosen, minlength=count) > 0).numpy())
        centred = setup.grid.inside(targets).target
        inside.append((torch.bincount(centred, minlength=count) > 0).numpy())
    return np.concatenate(answered), np.concatenate(inside)


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlaps:
    """Every anchor that overlaps an object by at least ``floor``: its IoU with its best object.

    ``iou`` (P,) of those anchors, ``own`` (n,) the largest among the anchors that are each
    object's own, 0 where that is below ``floor``; ``anchors`` the number of all.
    """

    iou: NDArray[np.float64]
    own: NDArray[np.float64]
    anchors: int
    floor: float = FLOOR

    def split(self, positive: float, negative: float) -> tuple[int, int, int]:
        """Anchors that are positive, ignored and negative at two thresholds (>= ``floor``)."""
        high = int((self.iou >= positive).sum())
        middle = int((self.iou >= negative).sum()) - high
        return high, middle, self.anchors - high - middle


@torch.no_grad()
def overlaps(setup: Setup, objects: Objects) -> Overlaps:
    """Overlaps of all anchors with the fair objects, down to the thresholds in use."""
    rule = setup.by_iou
    floor = FLOOR if rule is None else min(FLOOR, rule.negative)
    iou, own = [torch.zeros(0)], [torch.zeros(0)]
    for targets in batches(setup, objects):
        pairs = setup.grid.overlapping(targets, floor)
        mine = pairs.best_target_per_anchor(by=pairs.iou())
        iou.append(mine.iou())
        own.append(mine.max_per_target(mine.iou()).clamp(min=0)[~targets.ignore])
    return Overlaps(
        iou=torch.cat(iou).double().numpy(),
        own=torch.cat(own).double().numpy(),
        anchors=len(objects.size) * len(setup.grid),
        floor=floor,
    )
