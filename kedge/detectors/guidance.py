"""Guidance: what Guided Anchoring learns about anchors, and the anchors that follow from it."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.anchors import Boxes, Grid, LearnedShapes
from kedge.anchors.best_shape import BestShape
from kedge.assign.guided_location import GuidedLocation
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.losses import bounded_iou_loss, focal_loss
from kedge.ranks import per_rank
from kedge.sample import RandomSample, Sampler
from kedge.types import Assigner, Predictions, Targets

ANY_SIZE = (-13.8, 13.8)  # of log sizes: MMDetection's wh_ratio_clip of 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Guidance:
    """One anchor a cell, grown from a square to the shape that the cell predicts.

    Predictions have two branches for it: "shape" (B, N, 2), log width and height in those of the
    square, divided by the coder's deviations, and "location" (B, N), log odds that an anchor is
    wanted there. ``sampled`` in the methods is the grid of shapes by which cells are found that can
    hold an object's anchor.

    Attributes: ``square``, side of the squares in strides; ``coder`` of the shapes; ``where``,
    which cells want an anchor; ``assign`` and ``sample``, which cells learn the shape of which
    object; ``min_location``: in evaluation a cell less likely finds nothing.

    Source: Wang et al., arXiv:1901.03278, section 3; numbers of MMDetection. Deviation from the
    paper: the shape loss weighs 1 (MMDetection), not .1, and counts how far the centres are apart,
    which no shape can help (MMDetection).
    """

    square: float
    coder: DeltaCoder = field(default_factory=lambda: DeltaCoder(clamp=ANY_SIZE))
    where: GuidedLocation = field(default_factory=GuidedLocation)
    assign: Assigner = field(
        default_factory=lambda: MaxIoU(
            positive=0.7, negative=0.3, low_quality="rescuer", min_low_quality=0.3
        )
    )
    sample: Sampler = field(default_factory=RandomSample)
    min_location: float = 0.01

    def squares(self, sampled: Grid) -> Grid:
        """The cells of ``sampled`` with a square each."""
        levels = []
        for level in sampled.levels:
            height, width = level.strides
            levels.append(replace(level, shapes=[(self.square * width, self.square * height)]))
        return Grid(sampled.image_size, levels).to(sampled.device)

    def grown(self, squares: Tensor, shape: Tensor) -> Tensor:
        """(P, 4) squares (P, 4) in the ``shape`` (P, 2) that was predicted for each."""
        return self.coder.decode(squares, torch.cat([torch.zeros_like(shape), shape], -1))

    @torch.no_grad()
    def anchors(self, sampled: Grid, shape: Tensor) -> Boxes:
        """The anchors of a batch, without a graph: a list for each image, in the order of cells.
        ``shape`` (B, N, 2)."""
        squares = self.squares(sampled)
        rows = torch.arange(len(shape) * len(squares), device=shape.device)
        boxes = self.grown(squares.boxes(rows), shape.flatten(0, 1))
        return Boxes(
            boxes.view(*shape.shape[:2], 4), strides=squares.stride(rows),
            levels=squares.level(rows), num_levels=squares.num_levels,
            image_size=squares.image_size,
        )  # fmt: skip

    def likely(self, predictions: Predictions) -> Tensor:
        """(M,) bool: cells where an anchor is likely enough to be looked at."""
        return predictions.branch("location").sigmoid() >= self.min_location

    def location_maps(self, shapes: LearnedShapes, predictions: Predictions) -> dict[str, Tensor]:
        """How likely an anchor is wanted: a map (B, 1, H, W) of every level, by its stride, in the
        cells of the finest."""
        assert predictions.anchors is not None
        assert predictions.anchors.image_size is not None
        grid, batch = self.squares(shapes(predictions.anchors.image_size)), predictions.shape[0]
        likely = predictions.branch("location").detach().sigmoid().view(batch, -1)
        (height, width), finest, found = grid.sizes[0], grid.levels[0].strides[0], {}
        parts = zip(grid.levels, grid.sizes, likely.split(list(grid.anchors_per_level), 1))
        for level, size, part in parts:
            share = F.interpolate(
                part.view(batch, 1, *size), scale_factor=level.strides[0] / finest
            )
            found[f"location, stride {level.strides[0]:g}"] = share[..., :height, :width]
        return found

    def losses(
        self, shapes: LearnedShapes, predictions: Predictions, targets: Targets
    ) -> dict[str, Tensor]:
        """``location``: focal loss, background at a tenth, divided by a 200th of all cells;
        ``shape``: bounded IoU of the positives, divided by the whole sample. ``shapes`` are those
        by which cells are found."""
        anchors = predictions.anchors
        assert isinstance(anchors, Boxes)
        assert anchors.image_size is not None, "guided anchors know it"
        sampled = shapes(anchors.image_size)
        squares = self.squares(sampled)
        return {
            "location": self._location(predictions.branch("location"), squares, targets),
            "shape": self._shape(predictions.branch("shape"), squares, sampled, targets),
        }

    def _location(self, logits: Tensor, squares: Grid, targets: Targets) -> Tensor:
        wanted = self.where(squares, targets)
        goal, weight = torch.zeros_like(logits), torch.full_like(logits, 0.1)
        goal[wanted.anchor] = 1.0
        weight[wanted.ignored] = 0.0
        weight[wanted.anchor] = 1.0
        loss = (focal_loss(logits, goal, reduction="none") * weight).sum()
        return 200 * loss / per_rank(len(logits))

    def _shape(self, said: Tensor, squares: Grid, sampled: Grid, targets: Targets) -> Tensor:
        chosen = self.assign(BestShape(squares, sampled), targets)
        sample = self.sample(chosen)
        pairs = chosen.only(sample.positive)
        boxes = self.grown(squares.boxes(pairs.anchor), said[pairs.anchor])
        loss = bounded_iou_loss(boxes, pairs.boxes, beta=0.2, reduction="sum")
        return loss / per_rank(len(sample), 1)
