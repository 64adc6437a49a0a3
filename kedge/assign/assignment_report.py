"""What an assignment did, in numbers."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kedge.counted import count
from kedge.types import Assignment


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Numbers of one assignment; ``print`` it, or read the fields.

    Attributes: objects, crowds: targets that count, and those that are crowds. images, anchors: in
    the batch. positives: pairs; positive_anchors: anchors in them; shared: anchors in several
    pairs; ignored: anchors. per_target: (G,) positives of every target, -1 for crowds. without:
    (K,) rows of the objects that got no anchor; of these ``untouched`` overlap no anchor at all,
    and ``lost`` have a best anchor that answers for another object. per_level: (L,) positives;
    per_shape: (S,) positives of every (level, shape), or None where anchors have no shapes; shapes:
    (S, 2) w, h.
    """

    objects: int
    crowds: int
    images: int
    anchors: int
    positives: int
    positive_anchors: int
    shared: int
    ignored: int
    per_target: Tensor = field(repr=False)
    without: Tensor = field(repr=False)
    untouched: Tensor = field(repr=False)
    lost: Tensor = field(repr=False)
    per_level: Tensor = field(repr=False)
    per_shape: Tensor | None = field(repr=False)
    shapes: Tensor | None = field(repr=False)

    def __str__(self) -> str:
        """A few lines for a terminal."""
        rows = [
            f"{count(self.objects, 'object')} and {count(self.crowds, 'crowd')} in "
            f"{count(self.images, 'image')}, {count(self.anchors, 'anchor')}",
            f"positives  {count(self.positives, 'pair')} on "
            f"{count(self.positive_anchors, 'anchor')} ({self.shared:,} shared by several "
            f"objects); {count(self.ignored, 'anchor')} ignored",
            f"objects without an anchor  {len(self.without)}{self._share()}: "
            f"{len(self.untouched)} overlap none, {len(self.lost)} lost their best to another",
            f"positives per object  {self._quantiles()}",
            "positives per level  " + " ".join(str(n) for n in self.per_level.tolist()),
        ]
        if self.per_shape is not None and self.shapes is not None:
            each = zip(self.shapes.tolist(), self.per_shape.tolist())
            rows.append(
                "positives per shape (w x h)  "
                + ", ".join(f"{w:.4g} x {h:.4g}: {n}" for (w, h), n in each)
            )
        return "\n".join(rows)

    def _share(self) -> str:
        return f" ({len(self.without) / self.objects:.1%})" if self.objects else ""

    def _quantiles(self) -> str:
        if not self.objects:
            return "none"
        counted = self.per_target[self.per_target >= 0].sort().values
        middle = int(counted[len(counted) // 2])
        mean = self.positives / self.objects
        return f"mean {mean:.3g}, median {middle}, least {int(counted[0])}, most {int(counted[-1])}"


@torch.no_grad()
def report(assignment: Assignment) -> Report:
    """Counts what ``assignment`` did: print it, or read its fields.

    Costs one query for the best anchors of the objects that got none. Raises ``ValueError`` for an
    assignment that does not know its anchors.
    """
    anchors, targets = assignment.anchors, assignment.targets
    if anchors is None:
        raise ValueError("this Assignment does not know its anchors: give it `anchors=`")
    per_target = torch.bincount(assignment.target, minlength=len(targets))
    per_target = torch.where(targets.ignore, -1, per_target)
    empty = per_target == 0
    best = anchors.best(targets.only(empty))
    touched = torch.zeros_like(empty)
    touched[best.target] = True
    taken = torch.zeros_like(empty)
    taken[best.target[torch.isin(best.anchor, assignment.anchor)]] = True
    shapes, per_shape = anchors.shapes, None
    if shapes is not None:
        per_shape = torch.bincount(anchors.shape_index(assignment.anchor), minlength=len(shapes))
    counted = torch.unique(assignment.anchor, return_counts=True)[1]
    return Report(
        objects=int((~targets.ignore).sum()),
        crowds=int(targets.ignore.sum()),
        images=targets.batch_size,
        anchors=assignment.total,
        positives=len(assignment),
        positive_anchors=len(counted),
        shared=int((counted > 1).sum()),
        ignored=len(assignment.ignored),
        per_target=per_target,
        without=empty.nonzero()[:, 0],
        untouched=(empty & ~touched).nonzero()[:, 0],
        lost=(empty & taken).nonzero()[:, 0],
        per_level=torch.bincount(anchors.level(assignment.anchor), minlength=anchors.num_levels),
        per_shape=per_shape,
        shapes=None if shapes is None else shapes.detach(),
    )
