"""SoftCell: the soft assignment with which Anchor Box Optimization warms up."""

from dataclasses import dataclass

from kedge.assign.shared.without_graph import without_graph
from kedge.rows import pick, where
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class SoftCell:
    """Every anchor of the cell of an object's centre answers for it, with a share.

    The shares are ``softmax(-d / temperature)`` over the anchors of the cell, on all levels, and
    stand in ``Assignment.weight``; they sum to 1 for every object. ``d`` is the squared distance of
    the log sizes. Towards temperature 0 this becomes the hard rule of the nearest shape.

    An anchor may answer for several objects. Shares below ``negligible`` are dropped.

    Source: Zhong et al., arXiv:1812.00469, section 3.3, which leaves the distance open; its text
    reports that IoU and L2 in log space do about the same."""

    temperature: float = 2.0
    negligible: float = 1e-4

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(
                f"SoftCell.temperature must be positive, got {self.temperature}; "
                "at 0 use BestInCell"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; ``predictions`` are not read."""
        del predictions
        cell = anchors.in_cell(targets)  # for every object all S shapes
        shapes = anchors.shapes
        assert shapes is not None  # else there were no cells
        score = cell.log_residual().square().sum(1).div(-self.temperature)
        share = score.view(-1, len(shapes)).softmax(1).flatten()
        keep = where(share >= self.negligible)
        return cell.select(keep).assignment(weight=pick(share, keep))
