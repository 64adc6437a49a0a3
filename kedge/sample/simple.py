"""Samplers that do not look at the predictions: everything, and a random share."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kedge.sample.sampler import (
    Rows,
    Sample,
    positives_per_image,
    random_like,
    top_pairs,
    top_per_row,
)
from kedge.types import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """Every positive and every background anchor: for losses that balance themselves (focal)."""

    needs: ClassVar[frozenset[str]] = frozenset()
    everything: ClassVar[bool] = True

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        del loss, iou, generator  # part of the contract; nothing is chosen here
        everything = torch.arange(len(assignment), device=assignment.anchor.device)
        negative = assignment.is_background().nonzero()[:, 0]
        return Sample(positive=everything, negative=negative)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSample:
    """``size`` anchors per image, at most ``positive_share`` of them positive, filled up with
    negatives.

    RPN takes 256 at 0.5, RoI heads 512 at 0.25. An image with too few of either gives what it has.
    ``max_negatives`` bounds the negatives to that many per positive (an image without positives
    counts as having one); None: no bound.

    Raises ValueError for a negative size or a share outside [0, 1].

    Source: Ren et al., arXiv:1506.01497, section 3.1.3; ``max_negatives`` is MMDetection's
    neg_pos_ub.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    everything: ClassVar[bool] = False

    size: int = 256
    positive_share: float = 0.5
    max_negatives: float | None = None

    def __post_init__(self) -> None:
        if self.size < 0 or not 0 <= self.positive_share <= 1:
            raise ValueError(
                f"{type(self).__name__}: size {self.size} must be >= 0 and positive_share "
                f"{self.positive_share} lie in [0, 1]"
            )

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        del loss, iou  # part of the contract; chance alone decides
        quota = positives_per_image(assignment).clamp(max=int(self.size * self.positive_share))
        positive = top_pairs(random_like(assignment.anchor, generator), assignment, quota)
        wanted = self.size - quota
        if self.max_negatives is not None:
            wanted = torch.minimum(wanted, (self.max_negatives * quota.clamp(min=1)).long())
        rows = Rows(assignment)
        background = rows.table(assignment.is_background(), False)
        chosen = top_per_row(random_like(background, generator), background, wanted)
        return Sample(positive=positive, negative=rows.flat(chosen))
