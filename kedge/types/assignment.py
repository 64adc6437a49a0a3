"""Assignment: which anchor answers for which target, and how much each counts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from kedge.types.anchors import Anchors
from kedge.types.predictions import Predictions
from kedge.types.targets import Targets

BACKGROUND, IGNORED = -1, -2


class ClassWeights(NamedTuple):
    """Weights of some (anchor, class) terms of the background loss: (Q,) each, every term once.

    Terms that are not listed weigh 1. It is how FreeAnchor, AutoAssign and DW say that an anchor is
    background for most classes, but only partly for the class of an object nearby.
    """

    anchor: Tensor  # rows
    label: Tensor
    weight: Tensor  # in [0, 1]


Likelihood = Callable[[Predictions, "Assignment"], dict[str, Tensor]]
"""The losses that belong to a strategy: named scalars of predictions and its assignment."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Assignment:
    """Which anchor answers for which target: the chosen pairs. All other anchors are background.

    Attributes:
        anchor: (P,) int64 rows of the batch's anchors (on a grid ``image * N + anchor``).
        target: (P,) int64 rows of ``targets.boxes``: of the batch, where ``dense`` counts within
            the image.
        weight: (P,) float, the share of a pair in the losses; 1 unless a strategy says otherwise.
        quality: (P,) float in [0, 1], the soft class target of a pair; 1 unless a strategy says
            otherwise.
        ignored: (Q,) int64 rows, unique, that are neither positive nor background.
        targets: the targets that ``target`` points into.
        anchors: what the rows count; without them ``num_anchors`` says how many an image has.
        background_weight: weights of some class terms of the background loss; None: 1 everywhere.
        likelihood: the losses that belong to the strategy, where it brings its own; they take the
            place of a detector's.

    An anchor may stand in several pairs where a strategy allows it (YOLOv5, bags, soft cells).
    """

    anchor: Tensor
    target: Tensor
    targets: Targets
    num_anchors: int | None = None
    weight: Tensor = None  # pyright: ignore[reportAssignmentType]
    quality: Tensor = None  # pyright: ignore[reportAssignmentType]
    ignored: Tensor = None  # pyright: ignore[reportAssignmentType]
    background_weight: ClassWeights | None = None
    anchors: Anchors[Any] | None = None
    likelihood: Likelihood | None = None

    def __post_init__(self) -> None:
        plain = [name for name in ("weight", "quality") if getattr(self, name) is None]
        if plain:
            ones = torch.ones(self.anchor.shape, device=self.anchor.device)
            for name in plain:
                object.__setattr__(self, name, ones)
        if self.ignored is None:
            object.__setattr__(self, "ignored", self.anchor[:0])
        for name in ("target", "weight", "quality"):
            if getattr(self, name).shape != self.anchor.shape:
                shape = tuple(getattr(self, name).shape)
                raise ValueError(
                    f"Assignment.{name} must be {tuple(self.anchor.shape)}, got {shape}"
                )
        if self.anchors is None and self.num_anchors is None:
            raise ValueError("Assignment needs `anchors`, or `num_anchors`: what its rows count")
        if self.num_anchors is None and self.anchors is not None:
            object.__setattr__(self, "num_anchors", self.anchors.per_image)

    def __len__(self) -> int:
        return len(self.anchor)

    @property
    def total(self) -> int:
        """M, the rows of the batch's anchors."""
        batch = self.targets.batch_size
        if self.num_anchors is not None:
            return batch * self.num_anchors
        assert self.anchors is not None
        return self.anchors.total(batch)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, N): images and anchors per image; ``ValueError`` where images have different
        numbers."""
        if self.num_anchors is None:
            raise ValueError(
                "these images have different numbers of anchors: read `anchor` and `target`, rows "
                "of the batch, in place of a (B, N) table"
            )
        return self.targets.batch_size, self.num_anchors

    @property
    def image(self) -> Tensor:
        """(P,) image of every pair."""
        return self.targets.image[self.target]

    @property
    def labels(self) -> Tensor:
        """(P,) class of every pair's target."""
        return self.targets.labels[self.target]

    @property
    def boxes(self) -> Tensor:
        """(P, 4) box of every pair's target."""
        return self.targets.boxes[self.target]

    def only(self, pairs: Tensor) -> "Assignment":
        """These ``pairs`` (P',) alone, ascending indices into them: the positives of a sample."""
        if len(pairs) == len(self):
            return self
        return replace(
            self,
            anchor=self.anchor[pairs],
            target=self.target[pairs],
            weight=self.weight[pairs],
            quality=self.quality[pairs],
        )

    def per_object(self) -> "Assignment":
        """The same pairs, weighted anew: those of every object weigh together what those of the
        mean object do, and among each other as before."""
        own = torch.zeros(len(self.targets), dtype=self.weight.dtype, device=self.weight.device)
        own.index_add_(0, self.target, self.weight)
        each = own.sum() / (own > 0).sum().clamp(min=1)
        share = each / own.clamp(min=torch.finfo(own.dtype).tiny ** 0.5)
        return replace(self, weight=self.weight * share[self.target])

    def rows_per_image(self) -> Tensor:
        """(B,) anchors of every image."""
        if self.num_anchors is None:
            assert self.anchors is not None
            return self.anchors.count(self.targets.batch_size)
        batch = self.targets.batch_size
        return torch.full((batch,), self.num_anchors, device=self.anchor.device)

    def free(self) -> Tensor:
        """(M,) bool: rows that stand in no pair, the ignored ones among them."""
        out = torch.ones(self.total, dtype=torch.bool, device=self.anchor.device)
        out[self.anchor] = False
        return out

    def is_background(self) -> Tensor:
        """(M,) bool: rows that are neither positive nor ignored."""
        out = self.free()
        out[self.ignored] = False
        return out

    def background(self) -> Tensor:
        """(B, N) bool: anchors that are neither positive nor ignored."""
        return self.is_background().view(self.shape)

    def dense(self) -> Tensor:
        """(B, N) int64: >= 0 the target's index within its image, -1 background, -2 ignored.

        Where an anchor stands in several pairs, the one with the largest weight is shown, the
        lowest target among equals."""
        batch, count = self.shape
        out = torch.full((batch * count,), BACKGROUND, device=self.anchor.device)
        out[self.ignored] = IGNORED
        order = torch.argsort(self.target, descending=True, stable=True)
        order = order[torch.argsort(self.weight[order], stable=True)]  # the last write wins
        anchor = self.anchor[order]
        local = (self.target - self.targets.first[self.image])[order]
        # an index write with duplicates is undefined on a GPU; the largest position is not
        out.scatter_reduce_(0, anchor, torch.arange(len(anchor), device=out.device), "amax")
        return out.scatter_(0, anchor, local[out[anchor]]).view(batch, count)


class Assigner(Protocol):
    """Which anchor answers for which object: one call for a batch, on the device of its inputs.

    A strategy that brings its own losses puts them into ``Assignment.likelihood``; one whose rule
    changes in the course of a training is ``Scheduled``; one that works without predictions, but
    chooses otherwise with them, has ``takes_predictions = True``.
    """

    def __call__(
        self, anchors: Anchors[Any], targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Strategies of geometry leave ``predictions`` unread; those that need them raise
        without."""
        ...


@runtime_checkable
class Scheduled(Protocol):
    """A strategy whose rule changes in the course of a training (MAL)."""

    def at(self, progress: float) -> Assigner:
        """The rule when the share ``progress`` of the training, in [0, 1], is over."""
        ...
