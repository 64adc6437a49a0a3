"""GuidedLocation: where anchors are wanted, for the location branch of Guided Anchoring."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.join import spread
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area
from kedge.types import Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class GuidedLocation:
    """The cells in the middle of an object are positive, those around them ignored.

    An object has one level: that of the square nearest in size, a step being a factor of 2. There
    the cells of its box scaled by ``positive`` answer for it; those of its box scaled by
    ``ignored`` do not count, there and on the levels next to it. Corners are rounded to cells, both
    ends included, so that every object has a cell. A later object overwrites an earlier one.

    For a ``Grid`` of one shape a level; ``ValueError`` otherwise. Not among the strategies by name:
    it says where anchors stand, not what they answer.

    Source: Wang et al., arXiv:1901.03278, section 3.2; levels, rounding and order are MMDetection's
    (``ga_loc_targets``).
    """

    positive: float = 0.2
    ignored: float = 0.5

    @without_graph
    def __call__(
        self, anchors: Grid, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        if set(anchors.shapes_per_level) != {1}:
            raise ValueError(f"GuidedLocation needs one shape a level, got {anchors}")
        level = self._level(anchors, targets)
        middle = cells_of(anchors, targets, level, self.positive)
        ring = cells_of(anchors, targets, level, self.ignored)
        last = middle.target.new_full((middle.num_rows(),), -1)
        for rank, pairs in ((0, ring), (1, middle)):  # of one object the middle comes later
            last.scatter_reduce_(0, pairs.anchor, 2 * pairs.target + rank, "amax")
        chosen = middle.select(last[middle.anchor] == 2 * middle.target + 1)
        beside = [cells_of(anchors, targets, level + step, self.ignored) for step in (-1, 1)]
        ignored = torch.cat([ring.anchor, *(pairs.anchor for pairs in beside)]).unique()
        return chosen.assignment(ignored=ignored)

    @staticmethod
    def _level(anchors: Grid, targets: Targets) -> Tensor:
        """(G,) the level of every target."""
        side = area(targets.boxes).sqrt()
        level = torch.log2(side) - torch.log2(anchors.shapes[0, 0]) + 0.5
        return level.floor().clamp(0, anchors.num_levels - 1).long()


def cells_of(anchors: Grid, targets: Targets, level: Tensor, share: float) -> Pairs:
    """Pairs of every target that is no crowd with the cells of its box scaled by ``share`` on its
    ``level`` (G,); none where there is no such level."""
    ids = targets.real
    ids = ids[(level[ids] >= 0) & (level[ids] < anchors.num_levels)]
    level, table, rest = level[ids], anchors.rows, (1 - share) / 2
    box = targets.boxes[ids] / table.stride[level].repeat(1, 2)
    low = ((1 - rest) * box[:, :2] + rest * box[:, 2:]).round().long().clamp(min=0)
    high = (rest * box[:, :2] + (1 - rest) * box[:, 2:]).round().long().clamp(min=0)
    size = (torch.minimum(high, table.cells[level] - 1) - low + 1).clamp(min=0)
    source, step = spread(size.prod(1))
    columns = size[source, 0]
    y, x = low[source, 1] + step // columns, low[source, 0] + step % columns
    target = ids[source]
    rows = anchors.first_of(targets.image[target]) + anchors.index(level[source], y, x)
    return Pairs(anchors=anchors, targets=targets, anchor=rows, target=target)
