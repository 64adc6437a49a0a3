"""SSDMatch: one anchor for every object, then every anchor that overlaps enough."""

from dataclasses import dataclass
from typing import Literal

from kedge.assign.shared.greedy import greedy_matching
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets


@dataclass(frozen=True, kw_only=True)
class SSDMatch:
    """Every object gets an anchor, and every anchor with IoU >= ``positive`` its best object.

    The first step is

    - ``"best"``: each object takes its own best anchor, the lowest among equals; where two take
      the same, the later object keeps it (torchvision);
    - ``"greedy"``: again and again the largest IoU of all objects and anchors that are still free,
      so that no two objects take the same anchor (the original code). Equal IoU: the lower anchor,
      then the lower target. Pairs below ``min_iou``, by default that of the code, are not matched.

    The second step is for the anchors that the first left: the object of largest IoU, the lowest
    among equals. Nothing is ignored.

    Source: Liu et al., arXiv:1512.02325, section 2.2. Deviations: an object that touches no anchor
    gets none (torchvision gives it the first anchor); ``"greedy"`` is found by objects that ask
    their anchors, with the same result.
    """

    positive: float = 0.5
    first: Literal["best", "greedy"] = "best"
    min_iou: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 < self.positive <= 1:
            raise ValueError(f"SSDMatch.positive must be in (0, 1], got {self.positive}")
        if self.first not in ("best", "greedy"):
            raise ValueError(f"SSDMatch.first is 'best' or 'greedy', got {self.first!r}")
        if self.min_iou < 0:
            raise ValueError(f"SSDMatch.min_iou must not be negative, got {self.min_iou}")
        if self.first == "best" and self.min_iou != SSDMatch.min_iou:
            raise ValueError(
                f"SSDMatch.min_iou ({self.min_iou}) is of first='greedy'; with 'best' each object "
                "takes its best anchor however little they overlap: leave it out, or say greedy"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        near = anchors.overlapping(targets, self.positive)
        if self.first == "best":
            taken, others = near.best_anchors()
            taken = taken if others is None else taken.join(others)
            taken = taken.select(taken.top_per_target(taken.iou(), k=1)).last_target_per_anchor()
        else:
            taken = greedy_matching(anchors, targets, self.min_iou)
        rest = near.without(taken)
        return taken.join(rest.best_target_per_anchor(by=rest.iou())).assignment()
