"""Measured: a grid that asks about another measure where a strategy asks about the IoU."""

from typing import Self

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.grid import Grid
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries import table
from kedge.anchors.queries.cells import (
    Found,
    OfTarget,
    Question,
    asked,
    blocks,
    flat,
    join_found,
    kept,
    measure,
    rectangles,
)
from kedge.rows import pick, where
from kedge.types import Targets

SLACK = 1e-5  # relative, and of the logarithm
COST = 16  # of a pair in a table
DENORMAL = 1e-37  # below, a measure is a number of few digits


class Measured(Grid):
    """The same anchors, with a measure in (0, 1] in the place of IoU: ``exp(-distance)``.

    Thresholds, bests and ``iou()`` are of that measure; what is about centres or shapes alone stays
    as it is. A kind says its ``measure``, and its ``reach``: how far from an object's centre an
    anchor of a shape can stand at a distance. The measure is positive everywhere: an object that
    touches no anchor has a best one nevertheless, and a threshold of 0 is refused, as every anchor
    would pass.
    """

    grid: Grid

    def __init__(self, grid: Grid, **settings: float) -> None:
        for name, value in settings.items():
            if value <= 0:
                raise ValueError(f"{type(self).__name__}.{name} must be positive, got {value}")
        super().__init__(grid.image_size, grid.levels, grid.shapes)
        for name, value in {"grid": grid, "settings": settings, **settings}.items():
            object.__setattr__(self, name, value)

    settings: dict[str, float]

    def with_shapes(self, shapes: Tensor) -> Self:
        """The same cells with other ``shapes`` (S, 2); gradients flow to them."""
        return type(self)(self.grid.with_shapes(shapes), **self.settings)

    def reach(self, apart: Tensor, gap: Tensor, side: Tensor, shape: Tensor) -> Tensor:
        """(g, S, 2) half sides of the window around an object's centre that holds the centres of
        all anchors at most ``apart`` (g, S) from it; negative or NaN: there are none.

        ``gap`` (g, S, 2) is how much the sides of objects (g, 1, 2) and anchors (S, 2) differ.
        """
        raise NotImplementedError

    @detached
    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> Pairs:
        """Every pair whose measure is at least ``min_iou``; ``among`` as for a Grid."""
        if not isinstance(min_iou, Tensor) and min_iou <= 0:
            name = type(self).__name__.removeprefix("By")
            raise ValueError(f"{name} is positive everywhere: ask for a threshold above 0")
        few = self._table(targets, COST, self.measure)
        if few is not None:
            return table.overlapping(self, few, min_iou, among)
        return self._search(targets, asked(self, targets, min_iou, among))

    def most_overlapping(self, targets: Targets, k: int) -> Pairs:
        """For every target the ``k`` anchors of largest measure; equal: the lowest anchor."""
        return self.closest(targets, k, by=self.measure)

    @detached
    def best(self, targets: Targets) -> Pairs:
        """For every target the anchors of largest measure, all ties; none where it rounds to 0."""
        few = self._table(targets, COST, self.measure)
        if few is not None:
            return table.best(self, few)
        top = self.closest(targets, 1, by=self.measure)
        value = self.measure(top.boxes(), top.target_boxes())
        value = torch.where(value > 0, value, torch.inf)
        floor = value.new_full((len(targets),), torch.inf).scatter(0, top.target, value)
        return self._search(targets, OfTarget(floor))

    def _search(self, targets: Targets, question: Question) -> Pairs:
        found = []
        shape = self.shapes.detach()
        for block in blocks(self, targets, targets.real, self.num_shapes):
            least = question.least(targets, block)
            apart = -torch.log(least * (1 - SLACK)) + (least < DENORMAL)
            apart = apart + SLACK * apart.abs()
            side = (block.boxes[:, 2:] - block.boxes[:, :2])[:, None]
            gap = ((side - shape.to(side)).abs() - block.hair[:, None, None]).clamp(min=0)
            reach = self.reach(apart, gap, side, shape.to(side)).flatten(0, 1)
            at = where((reach >= 0).all(1))
            g = at.div(self.num_shapes, rounding_mode="floor")
            reach = pick(reach, at) * (1 + SLACK) + pick(block.hair, g)[:, None]
            box = pick(block.boxes, g)
            centre = (box[:, :2] + box[:, 2:]) / 2
            row = at - g * self.num_shapes
            runs = rectangles(self, pick(block.target, g), row, centre - reach, centre + reach)
            cells, floor = question.cells(self, targets, runs)
            value = measure(self, targets, cells, self.measure)
            cells, rows = kept(cells, value >= floor)
            found.append(Found(cells.target, flat(self, targets, cells), pick(value, rows)))
        return join_found(self, targets, found)
