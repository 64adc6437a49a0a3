"""Guaranteed: any strategy, and an anchor for every object that it leaves without."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kedge.anchors.pairs import Pairs
from kedge.anchors.segments import count_of, difference
from kedge.assign.shared.candidates import with_more
from kedge.assign.shared.matching import heaviest_matching
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import area, centres
from kedge.rows import where
from kedge.types import Anchors, Assigner, Assignment, Predictions, Scheduled, Targets

NEAREST = (1, 4, 16, 64, 256, 1024, None)  # cells of every level that are looked at; None: all
FAR = 1e9  # pixels


class Guaranteed(nn.Module):
    """What ``strategy`` chooses, and one free anchor for every object that it leaves without.

    Free is what stands in no pair, ignored or not. An object gets the one inside it of largest IoU;
    where none is inside, that of largest IoU among the nearest cells of every level; the nearer one
    among equals. Where several objects want the same, as many as possible get one, and then those
    of the largest IoU together. The new pairs weigh 1 at quality 1: what a strategy would have said
    of a prediction it did not want is not asked.

    By name every strategy has it as a setting: ``tal:k=10,guarantee=true``. The strategy's loss,
    schedule and parameters stay its own.

    Edge cases: objects without area, and crowds, are promised nothing; more objects than free
    anchors leave some without. The matching of the objects in question runs on the CPU.

    Source: no paper; the last resort of several assigners for small objects, made exact.
    """

    def __init__(self, *, strategy: Assigner) -> None:
        super().__init__()
        self.strategy = strategy

    def __repr__(self) -> str:
        return f"Guaranteed(strategy={self.strategy!r})"

    def at(self, progress: float) -> "Guaranteed":
        """This rule when the share ``progress`` of the training is over."""
        rule = self.strategy
        return Guaranteed(strategy=rule.at(progress)) if isinstance(rule, Scheduled) else self

    @without_graph
    def forward(
        self, anchors: Anchors[Any], targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        found = self.strategy(anchors, targets, predictions)
        lost = ~targets.ignore & (area(targets.boxes) > 0)
        lost &= count_of(found.target, len(targets)) == 0
        if not bool(lost.any()):
            return found
        more = _one_each(anchors, targets.only(lost), found.free())
        ones = found.weight.new_ones(len(more))
        target, order = torch.cat([found.target, more.target]).sort(stable=True)
        return replace(
            found,
            anchor=torch.cat([found.anchor, more.anchor])[order],
            target=target,
            weight=torch.cat([found.weight, ones])[order],
            quality=torch.cat([found.quality, ones])[order],
            ignored=difference(found.ignored, more.anchor, found.total),
        )


def without_guarantee(rule: Assigner) -> Assigner:
    """The strategy itself, where ``rule`` is one with a guarantee."""
    return rule.strategy if isinstance(rule, Guaranteed) else rule


def _one_each(anchors: Anchors[Any], targets: Targets, free: Tensor) -> Pairs:
    """A pair for each of the targets, with distinct ``free`` (M,) anchors, as far as there are.

    Among n targets none is ever left with less than its n best, so no more are looked at.
    """
    wanted = len(targets.real)
    possible = _possible(anchors, targets, free)
    inside = anchors.inside(targets)
    inside = inside.select(free[inside.anchor])
    inside = inside.select(inside.top_per_target(inside.iou(), wanted))
    for k in NEAREST:
        near = anchors.nearest(targets, k) if k else anchors.inside(targets, _everywhere(targets))
        near = near.select(free[near.anchor])
        pairs, own = with_more(inside, near.anchor, near.target)
        away = torch.hypot(*(pairs.points() - centres(pairs.target_boxes())).unbind(1))
        worth = torch.add(pairs.iou().double(), own, alpha=2) + 1e-6 / (1 + away)  # below 4
        mate = heaviest_matching(pairs.target, pairs.anchor, 4 * wanted + worth, len(targets))
        if int(mate.sum()) == possible:
            break
    return pairs.select(mate)


def _possible(anchors: Anchors[Any], targets: Targets, free: Tensor) -> int:
    """How many of the targets can have a ``free`` (M,) anchor of their own at all."""
    batch = targets.batch_size
    asked = count_of(targets.of_real(targets.image), batch)
    there = count_of(anchors.image_of(where(free)), batch)
    return int(torch.minimum(asked, there).sum())


def _everywhere(targets: Targets) -> Tensor:
    """(G, 4) regions that hold every anchor."""
    return torch.tensor([-FAR, -FAR, FAR, FAR]).to(targets.boxes).expand(len(targets), 4)
