"""SSDMatch: one anchor for every object, then every anchor that overlaps enough."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import isin
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets

FLOORS = (0.5, 0.25, 0.1, 0.02)  # the greedy search goes down in these steps


@dataclass(frozen=True, kw_only=True)
class SSDMatch:
    """Every object gets an anchor, and every anchor with IoU >= ``positive`` its best object.

    The first step is

    - ``"best"``: each object takes its own best anchor, the lowest among equals; where two take
      the same, the later object keeps it (torchvision);
    - ``"greedy"``: again and again the largest IoU of all objects and anchors that are still free,
      so that no two objects take the same anchor (the original code). Equal IoU: the lower anchor,
      then the lower target.

    The second step is for the anchors that the first left: the object of largest IoU, the lowest
    among equals. Nothing is ignored.

    Source: Liu et al., arXiv:1512.02325, section 2.2. Deviations: an object that touches no anchor
    gets none (torchvision gives it the first anchor); ``"greedy"`` takes all pairs that no other
    can displace at once, in a few rounds, with the same result.
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

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; it is geometry, so ``predictions`` are not read."""
        del predictions
        if self.first == "best":
            taken = anchors.best(targets)
            taken = taken.select(taken.top_per_target(taken.iou(), k=1)).last_target_per_anchor()
        else:
            taken = self._greedy(anchors, targets)
        rest = anchors.overlapping(targets, self.positive).without(taken)
        return taken.join(rest.best_target_per_anchor(by=rest.iou())).assignment()

    def _greedy(self, anchors: Anchors, targets: Targets) -> Pairs:
        """The greedy matching: pairs below a floor cannot change what is taken above it."""
        taken = None
        for floor in (*(f for f in FLOORS if f > self.min_iou), self.min_iou):
            free = targets
            if taken is not None:
                done = torch.zeros_like(targets.ignore)
                done[taken.target] = True
                free = replace(targets, ignore=targets.ignore | done)
            pairs = anchors.overlapping(free, floor)
            pairs = replace(pairs, targets=targets)
            if taken is not None:
                pairs = pairs.without(taken)
            found = pairs.select(_greedily(pairs, pairs.iou()))
            taken = found if taken is None else taken.join(found)
        assert taken is not None
        return taken


def _greedily(pairs: Pairs, value: Tensor) -> Tensor:
    """(P,) bool: the pairs that a greedy search by falling ``value`` (P,) takes, each side once.

    A pair that comes first both for its anchor and for its target is taken whatever comes later, so
    every round takes all of those at once. Rounds: the longest chain of objects that displace one
    another, a handful in pictures.
    """
    order = torch.argsort(pairs.target, stable=True)
    order = order[torch.argsort(pairs.anchor[order], stable=True)]
    order = order[torch.argsort(value[order], stable=True, descending=True)]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    taken = torch.zeros(len(pairs), dtype=torch.bool, device=order.device)
    left = torch.arange(len(pairs), device=order.device)
    while len(left):
        some = pairs.select(left)
        first = -place[left].double()
        now = (first >= some.max_per_anchor(first)) & (
            first >= some.max_per_target(first)[some.target]
        )
        taken[left[now]] = True
        gone = isin(some.target, some.target[now], len(pairs.targets))
        left = left[~(gone | some.shares_anchor(some.select(now)))]
    return taken
