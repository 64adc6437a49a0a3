"""YOLOv5: every shape within a factor of the object's, in the centre's cell and two neighbours."""

from dataclasses import dataclass

from kedge.assign.shared.near_cells import near_cells
from kedge.assign.shared.without_graph import without_graph
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

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        return near_cells(anchors, targets, self.max_ratio, self.reach).assignment()
