"""What can be counted of a strategy without a detector: its positives, or its candidates."""

from dataclasses import dataclass

import torch

from kedge.anchors.grid import Grid
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import enlarged, inside_or_centre
from kedge.assign.lada import LADA
from kedge.assign.sim_ota import SimOTA
from kedge.assign.tal import TAL
from kedge.boxes import centres
from kedge.types import Anchors, Assigner, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Stands for a rule that chooses by predictions: every anchor that geometry lets it choose.

    An anchor whose centre lies inside the object; of ``TAL`` also inside the object enlarged to
    ``min_side``, of ``SimOTA`` also near its centre, of ``LADA`` inside the object shrunk as its
    level asks. An anchor that several objects could have goes to the one whose centre is nearest,
    so that it is counted once.
    """

    rule: Assigner

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; ``predictions`` are not read."""
        del predictions
        pairs = self._pairs(anchors, targets)
        away = (pairs.points() - centres(pairs.target_boxes())).square().sum(1)
        return pairs.best_target_per_anchor(by=-away).assignment()

    def _pairs(self, anchors: Anchors, targets: Targets) -> Pairs:
        if isinstance(self.rule, SimOTA):
            return inside_or_centre(anchors, targets, self.rule.radius)[0]
        if isinstance(self.rule, TAL) and self.rule.min_side:
            return anchors.inside(targets, enlarged(targets.boxes, self.rule.min_side))
        if isinstance(self.rule, LADA):
            return anchors.inside(targets, self.rule.region(anchors, targets))
        return anchors.inside(targets)


def reads_predictions(rule: Assigner, grid: Grid) -> bool:
    """Whether ``rule`` refuses to assign the anchors of ``grid`` without predictions."""
    side = float(min(grid.image_size))
    whole = Targets(
        boxes=torch.tensor([[0.0, 0.0, side, side]]),
        labels=torch.zeros(1, dtype=torch.int64),
        image=torch.zeros(1, dtype=torch.int64),
        ignore=torch.zeros(1, dtype=torch.bool),
        batch_size=1,
    )
    try:
        rule(grid, whole)
    except ValueError as problem:
        if "needs predictions" in str(problem):
            return True
        raise
    return False
