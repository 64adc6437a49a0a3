"""YOLOv3: the best shape of the whole pyramid, in the cell of the object's centre."""

from dataclasses import dataclass

from kedge.assign.shared.cell_rule import best_shape_in_cell
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class YOLOv3:
    """One anchor per object: of all levels' shapes the best fitting, in its level's cell.

    Shapes are compared by IoU with both boxes centred; equal shapes: the first. Where several
    objects want the same anchor the last one gets it, as in darknet. Anchors whose *predicted* box
    overlaps some object by more than ``ignore_above`` are not background but ignored; without
    predictions that rule rests.

    Source: Redmon and Farhadi, arXiv:1804.02767, section 2.1; darknet's yolo layer and the
    ``ignore_thresh`` of its configuration. Deviations: an object centred outside the image belongs
    to the nearest cell; an overwritten object leaves no class behind (darknet adds up the classes);
    any number of objects per image, centred anywhere (darknet stops reading at x = 0).
    """

    ignore_above: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.ignore_above <= 1:
            raise ValueError(f"YOLOv3.ignore_above is an IoU in [0, 1], got {self.ignore_above}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        return best_shape_in_cell(anchors, targets, predictions, self.ignore_above)
