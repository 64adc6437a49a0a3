"""Pairs (anchor, target): what every query returns and every strategy works on.

Segment operations (a maximum, mean or standard deviation per target, the best target per anchor,
the top k per target) run over all images at once, need memory for the pairs only, and break ties by
the lowest index, so they are the same on every device."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kedge.anchors.detached import detached
from kedge.anchors.segments import (
    count_of,
    difference,
    distinct,
    first_largest,
    fits_a_table,
    isin,
    largest,
    mean,
    rank,
    smallest,
    total,
    wide,
)
from kedge.boxes import holds, shape_iou, sizes
from kedge.rows import pick, pick_boxes, where
from kedge.types import Anchors, Assignment, Targets


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Candidate pairs of a batch, ordered by target.

    Attributes:
        anchors, targets: what the pairs point into.
        anchor: (P,) int64 rows of the batch's anchors.
        target: (P,) int64 rows of ``targets.boxes``.
    """

    anchors: Anchors["Pairs"]
    targets: Targets
    anchor: Tensor
    target: Tensor
    _iou: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.anchor.shape[0]

    # -- geometry

    def boxes(self) -> Tensor:
        """(P, 4) anchor boxes."""
        return self.anchors.boxes(self.anchor)

    def target_boxes(self) -> Tensor:
        """(P, 4) target boxes."""
        return pick_boxes(self.targets.boxes, self.target)

    def labels(self) -> Tensor:
        """(P,) class of the target."""
        return pick(self.targets.labels, self.target)

    def level(self) -> Tensor:
        """(P,) pyramid level of the anchor."""
        return self.anchors.level(self.anchor)

    def stride(self) -> Tensor:
        """(P, 2) cell size of the anchor in pixels, x then y."""
        return self.anchors.stride(self.anchor)

    def points(self) -> Tensor:
        """(P, 2) anchor centres."""
        return self.anchors.points(self.anchor)

    @detached
    def iou(self) -> Tensor:
        """(P,) IoU of anchor and target, without a graph; computed once, by the query or here."""
        if self._iou is None:
            value = self.anchors.measure(self.boxes(), self.target_boxes())
            object.__setattr__(self, "_iou", value)
        assert self._iou is not None
        return self._iou

    def with_iou(self, values: Tensor) -> "Pairs":
        """The same pairs, of which ``iou()`` is ``values`` (P,): another measure in its place."""
        return replace(self, _iou=values)

    @detached
    def shape_iou(self) -> Tensor:
        """(P,) IoU of anchor and target moved onto one centre: a matter of the shapes alone."""
        return shape_iou(self.anchors.shape_of(self.anchor), sizes(self.target_boxes()))

    def log_residual(self) -> Tensor:
        """(P, 2) log size of the anchor minus log size of the target; differentiable in the shapes.

        A target without area counts as a hundredth of a pixel.
        """
        target = sizes(self.target_boxes()).clamp(min=1e-2)
        return self.anchors.shape_of(self.anchor).log() - target.log()

    def centre_inside(self, margin: float = 0.0) -> Tensor:
        """(P,) whether the anchor's centre lies inside the target by more than ``margin``
        pixels."""
        return holds(self.target_boxes(), self.points(), margin)

    # -- per target

    def count_per_target(self) -> Tensor:
        """(G,) int64 number of pairs."""
        return count_of(self.target, len(self.targets))

    def without_any(self) -> Tensor:
        """(G,) bool: the targets, no crowds, that have no pair."""
        return (self.count_per_target() == 0) & ~self.targets.ignore

    def max_per_target(self, values: Tensor) -> Tensor:
        """(G,) largest of ``values`` (P,); -inf for a target without pairs."""
        return largest(values, self.target, len(self.targets))

    def min_per_target(self, values: Tensor) -> Tensor:
        """(G,) smallest of ``values`` (P,); inf for a target without pairs."""
        return smallest(values, self.target, len(self.targets))

    def sum_per_target(self, values: Tensor) -> Tensor:
        """(G,) sum of ``values`` (P,); 0 for a target without pairs.

        In double precision: a GPU adds in any order, a target may have thousands of pairs.
        """
        return total(wide(values), self.target, len(self.targets)).to(values.dtype)

    def mean_per_target(self, values: Tensor) -> Tensor:
        """(G,) mean of ``values`` (P,); 0 for a target without pairs. Exact where all are equal."""
        return mean(values, self.target, len(self.targets)).to(values.dtype)

    def mean_and_std_per_target(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(G,) ``mean_per_target`` and unbiased standard deviation (n - 1) of ``values``, 0 with
        fewer than two pairs."""
        rows, count = self.count_per_target(), len(self.targets)
        middle = mean(values, self.target, count, rows)
        spread = total((values - pick(middle, self.target)).square_(), self.target, count)
        spread = spread / (rows - 1).clamp_(min=1)
        return middle.to(values.dtype), spread.sqrt().to(values.dtype)

    def softmax_per_target(self, values: Tensor) -> Tensor:
        """(P,) softmax of ``values`` (P,) over the pairs of every target."""
        share = (values - self.max_per_target(values)[self.target]).exp()
        return share / self.sum_per_target(share)[self.target]

    def top_per_target(self, values: Tensor, k: int | Tensor, largest: bool = True) -> Tensor:
        """(P,) bool: the ``k`` pairs of every target with the largest ``values`` (P,).

        ``k`` may be (G,). Fewer pairs than ``k``: all of them. Equal values: the lowest anchor
        first."""
        if isinstance(k, int) and k == 1:
            values = values if largest else -values
            return first_largest(values, self.anchor, self.target, len(self.targets))
        order = torch.argsort(self.anchor, stable=True)
        owner = pick(self.target, order)
        limit = pick(k, owner) if isinstance(k, Tensor) else k
        keep = rank(pick(values, order), owner, largest=largest) < limit
        return torch.empty_like(keep).scatter_(0, order, keep)

    def best_anchors(self) -> tuple["Pairs", "Pairs | None"]:
        """For every target the anchors of largest IoU, all ties, as ``anchors.best`` finds them:
        those among these pairs, which must be all with some IoU or more, and those of the targets
        that have no pair; None where each has one."""
        most = self.max_per_target(self.iou())
        top = self.select(self.iou() == pick(most, self.target))
        rest = (most == -torch.inf) & ~self.targets.ignore
        if not bool(rest.any()):
            return top, None
        return top, replace(self.anchors.best(self.targets.only(rest)), targets=self.targets)

    # -- per anchor

    def num_rows(self) -> int:
        """M, the rows of the batch's anchors."""
        return self.anchors.total(self.targets.batch_size)

    def distinct_anchors(self) -> Tensor:
        """(U,) the rows of the pairs, each once, ascending."""
        return distinct(self.anchor, self.num_rows())

    def slots(self) -> tuple[Tensor, int]:
        """(P,) every pair's row in a table of anchors, all of them or only those that occur, and
        how many rows it has."""
        total = self.num_rows()
        if fits_a_table(total, len(self), self.anchor.device):
            return self.anchor, total
        seen, slot = self.anchor.unique(return_inverse=True)
        return slot, len(seen)

    def max_per_anchor(self, values: Tensor) -> Tensor:
        """(P,) the largest of ``values`` over all pairs of the same anchor."""
        slot, count = self.slots()
        return pick(largest(values, slot, count), slot)

    def wins_anchor(self, by: Tensor) -> Tensor:
        """(P,) bool: of the pairs of every anchor the one of largest ``by`` (P,), the lowest target
        among equals; none where that is NaN."""
        return first_largest(by, self.target, *self.slots()) & (by == by)

    def best_target_per_anchor(self, by: Tensor) -> "Pairs":
        """One pair per anchor: the largest ``by`` (P,), never NaN, the lowest target among
        equals."""
        return self.select(first_largest(by, self.target, *self.slots()))

    def last_target_per_anchor(self) -> "Pairs":
        """One pair per anchor: the highest target, as where later objects overwrite earlier
        ones."""
        slot, count = self.slots()
        last = torch.full((count,), -1, device=slot.device)
        last.scatter_reduce_(0, slot, self.target, "amax")
        return self.select(pick(last, slot) == self.target)

    def shares_anchor(self, other: "Pairs") -> Tensor:
        """(P,) bool: whether the pair's anchor is also one of ``other``'s."""
        return isin(self.anchor, other.anchor, self.num_rows())

    def without(self, other: "Pairs") -> "Pairs":
        """The pairs whose anchor is none of ``other``'s."""
        return self.select(~self.shares_anchor(other))

    # -- outcome

    def select(self, mask: Tensor) -> "Pairs":
        """The pairs where ``mask`` (P,) is true, or those of the given rows (K,) int64."""
        rows = where(mask) if mask.dtype == torch.bool else mask
        return Pairs(
            anchors=self.anchors,
            targets=self.targets,
            anchor=pick(self.anchor, rows),
            target=pick(self.target, rows),
            _iou=None if self._iou is None else pick(self._iou, rows),
        )

    def split(self, mask: Tensor) -> tuple["Pairs", Tensor]:
        """The pairs where ``mask`` (P,) is true, and the anchors (Q,) of the others."""
        return self.select(mask), pick(self.anchor, where(~mask))

    def join(self, other: "Pairs") -> "Pairs":
        """These pairs and those of ``other``, on the same anchors and targets, ordered by
        target."""
        target = torch.cat([self.target, other.target])
        order = torch.argsort(target, stable=True)
        known = None
        if self._iou is not None and other._iou is not None:
            known = torch.cat([self._iou, other._iou])[order]
        return Pairs(
            anchors=self.anchors,
            targets=self.targets,
            anchor=torch.cat([self.anchor, other.anchor])[order],
            target=target[order],
            _iou=known,
        )

    def assignment(
        self,
        weight: Tensor | None = None,
        quality: Tensor | None = None,
        ignored: Tensor | None = None,
        min_iof: float = 0.5,
        apart: bool = False,
    ) -> Assignment:
        """These pairs as the positives.

        ``ignored`` (Q,) rows and the anchors that a crowd covers (by ``min_iof`` of their area)
        are ignored, unless they are positive: an object inside a crowd keeps its anchors.
        ``apart``: no row is ``ignored`` twice or positive."""
        crowd = self.anchors.covered(self.targets, min_iof)
        alone = apart and len(crowd) == 0
        if ignored is not None and len(ignored):
            crowd = torch.cat([crowd, ignored])
        if len(crowd) and not alone:
            crowd = difference(crowd, self.anchor, self.num_rows())
        return Assignment(
            anchor=self.anchor,
            target=self.target,
            weight=None if weight is None else weight.detach(),  # pyright: ignore
            quality=None if quality is None else quality.detach(),  # pyright: ignore
            ignored=crowd,
            targets=self.targets,
            anchors=self.anchors,
        )
