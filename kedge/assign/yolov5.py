"""YOLOv5: every shape within a factor of the object's, in the centre's cell and two neighbours."""

from dataclasses import dataclass, replace

import torch

from kedge.anchors.pairs import Pairs
from kedge.boxes import centres, sizes
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class YOLOv5:
    """A shape matches if neither side is off by ``max_ratio`` or more; several levels may answer.

    The cell of the object's centre answers, and the neighbour on the nearer side along x and along
    y: left where the centre is in the cell's left half, and so on (at ``reach`` = 0.5; 0 leaves the
    centre's cell alone). The neighbours end at the map's edge. An anchor wanted by several objects
    is kept for each of them: it stands in several pairs.

    Needs a ``Grid``. Source: no paper; ultralytics/yolov5, ``build_targets``. Deviations: an object
    centred outside the image takes the nearest cell and no neighbours; one centred exactly on the
    left or upper edge of its cell has that cell once (there: twice); objects without area match
    nothing.
    """

    max_ratio: float = 4.0
    reach: float = 0.5

    def __post_init__(self) -> None:
        if self.max_ratio <= 1:
            raise ValueError(f"YOLOv5.max_ratio must be above 1, got {self.max_ratio}")
        if not 0 <= self.reach <= 0.5:
            raise ValueError(f"YOLOv5.reach is in cells, from 0 to 0.5, got {self.reach}")

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        cell = anchors.in_cell(targets)
        side, object_side = anchors.shape_of(cell.anchor), sizes(cell.target_boxes())
        ratio = torch.maximum(object_side / side, side / object_side).amax(1)
        cell = cell.select(ratio < self.max_ratio)
        return self._with_neighbours(cell).assignment()

    def _with_neighbours(self, pairs: Pairs) -> Pairs:
        """The pairs, and the same shapes in the neighbours nearest to the object's centre."""
        at = centres(pairs.target_boxes()) / pairs.stride()
        size = pairs.anchors.cells(pairs.anchor)
        within = ((at >= 0) & (at < size)).all(1)
        part = at - at.floor()
        before = (part < self.reach) & (at > 1) & within[:, None]
        after = (part > 1 - self.reach) & (at < size - 1) & within[:, None]
        moves = (
            (-1, 0, before[:, 0]),
            (0, -1, before[:, 1]),
            (1, 0, after[:, 0]),
            (0, 1, after[:, 1]),
        )
        anchor = [pairs.anchors.neighbours(pairs.anchor[w], x, y) for x, y, w in moves]
        target = [pairs.target[where] for *_, where in moves]
        return pairs.join(
            replace(pairs, anchor=torch.cat(anchor), target=torch.cat(target), _iou=None)
        )
