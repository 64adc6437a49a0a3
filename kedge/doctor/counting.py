"""What can be counted of a strategy without a detector: its positives, or its candidates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import enlarged, inside_and_centre, inside_or_centre
from kedge.assign.aligned_ota import AlignedOTA
from kedge.assign.auto_assign import AutoAssign
from kedge.assign.best_prediction_in_cell import BestPredictionInCell
from kedge.assign.dw import DW
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.free_anchor import FreeAnchor
from kedge.assign.hungarian import Hungarian
from kedge.assign.lada import LADA
from kedge.assign.mal import MAL
from kedge.assign.noisy_anchors import NoisyAnchors
from kedge.assign.ota import OTA
from kedge.assign.paa import PAA, own_targets
from kedge.assign.poto import POTO
from kedge.assign.shared.near_cells import near_cells
from kedge.assign.sim_ota import SimOTA
from kedge.assign.tal import TAL
from kedge.assign.yolov7 import YOLOv7
from kedge.boxes import centres
from kedge.types import Anchors, Assigner, Assignment, Predictions, Targets

# what geometry lets a rule choose: of its settings, the anchors and the objects
GEOMETRY: dict[type, Callable[[Any, Any, Targets], Pairs]] = {
    AlignedOTA: lambda rule, anchors, targets: inside_or_centre(anchors, targets, rule.radius)[0],
    AutoAssign: lambda rule, anchors, targets: _inside_or_nearest(anchors, targets, rule.force_k),
    BestPredictionInCell: lambda rule, anchors, targets: anchors.in_cell(targets),
    FreeAnchor: lambda rule, anchors, targets: anchors.most_overlapping(targets, rule.k),
    Hungarian: lambda rule, anchors, targets: anchors.nearest(targets, 1),  # or any other
    LADA: lambda rule, anchors, targets: anchors.inside(targets, rule.region(anchors, targets)),
    MAL: lambda rule, anchors, targets: anchors.most_overlapping(targets, rule.k),
    NoisyAnchors: lambda rule, anchors, targets: _touching(anchors, targets, rule.k),
    OTA: lambda rule, anchors, targets: inside_and_centre(anchors, targets, rule.radius),
    PAA: lambda rule, anchors, targets: own_targets(anchors, targets, rule.min_iou),
    POTO: lambda rule, anchors, targets: inside_and_centre(anchors, targets, rule.radius),
    SimOTA: lambda rule, anchors, targets: inside_or_centre(anchors, targets, rule.radius)[0],
    TAL: lambda rule, anchors, targets: anchors.inside(
        targets, enlarged(targets.boxes, rule.min_side) if rule.min_side else None
    ),
    YOLOv7: lambda rule, anchors, targets: near_cells(anchors, targets, rule.max_ratio, rule.reach),
}
SHARING = (AutoAssign, DW, FreeAnchor, MAL)  # several objects may have the same anchor
TAKING = (AlignedOTA, DynamicSoftLabel, SimOTA, YOLOv7)


def candidates(rule: Assigner, anchors: Anchors[Any], targets: Targets) -> Pairs:
    """Every object with every anchor that geometry lets a rule choose for it: what `GEOMETRY` says
    of the rule, and of any other those whose centre lies inside the object."""
    known = GEOMETRY.get(type(rule))
    return anchors.inside(targets) if known is None else known(rule, anchors, targets)


def takes_others(rule: Assigner) -> bool:
    """Whether an object may also take an anchor that is another's candidate alone, where that
    anchor's prediction overlaps it."""
    return isinstance(rule, TAKING) and getattr(rule, "candidates", "any") == "any"


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Stands for a rule that chooses by predictions: every one of its `candidates`.

    An anchor that several objects could have goes to the one whose centre is nearest, so that it is
    counted once, unless the rule lets objects share anchors.
    """

    rule: Assigner

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; ``predictions`` are not read."""
        del predictions
        pairs = candidates(self.rule, anchors, targets)
        if isinstance(self.rule, SHARING):
            return pairs.assignment()
        away = (pairs.points() - centres(pairs.target_boxes())).square().sum(1)
        return pairs.best_target_per_anchor(by=-away).assignment()


def _inside_or_nearest(anchors: Any, targets: Targets, k: int) -> Pairs:
    """The anchors inside of every object, or the nearest of one that has none inside."""
    pairs = anchors.inside(targets)
    lonely = pairs.without_any()
    return pairs.join(anchors.nearest(targets.only(lonely), k)) if k else pairs


def _touching(anchors: Any, targets: Targets, k: int) -> Pairs:
    """The ``k`` best anchors of all objects, with every object that they touch."""
    chosen = anchors.most_overlapping(targets, k).distinct_anchors()
    return anchors.overlapping(targets, 0.0, among=chosen)
