"""ByNWD: a grid that measures overlap by the normalised Wasserstein distance (tiny objects)."""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.cells import (
    Block,
    Found,
    asked,
    blocks,
    flat,
    join_found,
    kept,
    measure,
    rectangles,
)
from kedge.anchors.segments import pick, where
from kedge.boxes import nwd
from kedge.types import Targets

SLACK = 1e-5  # relative, as for the IoU


class ByNWD(Grid):
    """The same anchors, with NWD where a strategy asks for IoU: thresholds, bests and ``iou()``.

    ``MaxIoU(positive=0.7, negative=0.3)(ByNWD(grid), targets)`` is the assigner of the NWD paper;
    any rule that is written over IoU takes it likewise (SSDMatch, ATSS). What is about centres or
    shapes alone stays as it is. NWD is positive everywhere: an object that touches no anchor has a
    best one nevertheless, and a threshold of 0 is refused, as every anchor would pass. Boxes
    without area are compared as well.

    ``constant`` in pixels is the mean size of the data's objects; 12.8 is AI-TOD's.

    Source: Wang et al., arXiv:2110.13389, section 3.3.
    """

    def __init__(self, grid: Grid, constant: float = 12.8) -> None:
        if constant <= 0:
            raise ValueError(f"ByNWD.constant must be positive, got {constant}")
        super().__init__(grid.image_size, grid.levels, grid.shapes)
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "constant", constant)

    grid: Grid
    constant: float

    def with_shapes(self, shapes: Tensor) -> Self:
        """The same cells with other ``shapes`` (S, 2); gradients flow to them."""
        return type(self)(self.grid.with_shapes(shapes), self.constant)

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) NWD of anchor boxes (P, 4) and boxes (P, 4)."""
        return nwd(a, b, constant=self.constant)

    @torch.no_grad()
    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair with NWD >= ``min_iou``; ``among`` as for a Grid.

        NWD >= t says that centres and half sizes are at most ``-constant * log(t)`` apart.
        """
        if not isinstance(min_iou, Tensor) and min_iou <= 0:
            raise ValueError("NWD is positive everywhere: ask for a threshold above 0")
        found = []
        question = asked(self, targets, min_iou, among)
        for block in blocks(self, targets, targets.real, self.num_shapes):
            least = question.least(targets, block)
            reach = -self.constant * torch.log(least * (1 - SLACK)) + block.hair[:, None]
            square = reach * reach.abs() - self._shape_gap(block)
            at = where((square >= 0).flatten())
            g = at.div(self.num_shapes, rounding_mode="floor")
            reach = pick(square.flatten(), at).sqrt() + pick(block.hair, g)
            box = pick(block.boxes, g)
            centre = (box[:, :2] + box[:, 2:]) / 2
            low, high = centre - reach[:, None], centre + reach[:, None]
            row = at - g * self.num_shapes
            runs = rectangles(self, pick(block.target, g), row, low, high)
            cells, floor = question.cells(self, targets, runs)
            value = measure(self, targets, cells, self.measure)
            cells, rows = kept(cells, value >= floor)
            found.append(Found(cells.target, flat(self, targets, cells), pick(value, rows)))
        return join_found(self, targets, found)

    def _shape_gap(self, block: Block) -> Tensor:
        """(g, S) squared distance of sizes, halved sides as in NWD; a hair less."""
        side = (block.boxes[:, 2:] - block.boxes[:, :2])[:, None]
        gap = (side - self.shapes.detach().to(side)).abs() - block.hair[:, None, None]
        return gap.clamp(min=0).square().sum(-1) / 4

    def most_overlapping(self, targets: Targets, k: int) -> Pairs:
        """For every target the ``k`` anchors of largest NWD; equal NWD: the lowest anchor."""
        return self.closest(targets, k, by=self.measure)

    @torch.no_grad()
    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest NWD, all ties."""
        top = self.closest(targets, 1, by=self.measure)
        value = self.measure(top.boxes(), top.target_boxes())
        floor = value.new_zeros(len(targets)).scatter(0, top.target, value)
        reach = -self.constant * torch.log(floor * (1 - SLACK)) * (1 + SLACK) + 1e-2
        reach = torch.where(floor > 0, reach, -1)  # NWD of a huge object can round to 0: no best
        centre = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
        region = torch.cat([centre - reach[:, None], centre + reach[:, None]], dim=1)
        near = self.inside(targets, region.to(targets.boxes))
        value = self.measure(near.boxes(), near.target_boxes())
        tied = where((value == pick(floor, near.target)) & (value > 0))
        near = near.select(tied)
        return replace(near, _iou=pick(value, tied))
