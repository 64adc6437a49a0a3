"""YOLO's rule, versions 2 and 3: the best shape in the cell of an object's centre."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from kedge.anchors.queries.predicted import well_predicted
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import shape_iou, sizes
from kedge.types import Anchors, Assignment, Predictions, Targets

Siblings = Literal["background", "ignored", "positive"]


@dataclass(frozen=True, kw_only=True)
class CellRule:
    """Of all levels' anchors in the cell of the object's centre the one whose shape fits best.

    The last object that wants an anchor gets it. Anchors whose predicted box overlaps an object by
    more than ``ignore_above`` are ignored; without predictions that rule rests. ``siblings``: what
    becomes of the cell's other anchors whose shape has an IoU of ``similar`` with the object.
    """

    takes_predictions: ClassVar[bool] = True

    ignore_above: float
    siblings: Siblings = "background"
    similar: float = 0.4

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not 0 <= self.ignore_above <= 1:
            raise ValueError(f"{name}.ignore_above is an IoU in [0, 1], got {self.ignore_above}")
        if self.siblings not in ("background", "ignored", "positive"):
            raise ValueError(
                f"{name}.siblings is 'background', 'ignored' or 'positive', got {self.siblings!r}"
            )
        if not 0 < self.similar <= 1:
            raise ValueError(f"{name}.similar is an IoU in (0, 1], got {self.similar}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        cell = anchors.in_cell(targets)  # for every object all S shapes, the lowest anchor first
        shapes = anchors.shapes
        assert shapes is not None  # else there were no cells
        fit = shape_iou(shapes, sizes(targets.of_real(targets.boxes))[:, None])  # (g, S)
        best = fit.argmax(1) + torch.arange(0, len(cell), len(shapes), device=fit.device)
        chosen = cell.select(best).last_target_per_anchor()
        ignored = None
        if predictions is not None:
            ignored = well_predicted(anchors, targets, predictions.detach(), self.ignore_above)
        if self.siblings != "background":
            alike = cell.select(fit.flatten() >= self.similar).without(chosen)
            if self.siblings == "positive":
                chosen = chosen.join(alike.last_target_per_anchor())
            else:
                ignored = alike.anchor if ignored is None else torch.cat([ignored, alike.anchor])
        return chosen.assignment(ignored=ignored)
