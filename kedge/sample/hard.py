"""Samplers that look for the anchors that cost most: hard negatives and OHEM."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kedge.sample.sampler import (
    Rows,
    Sample,
    positives_per_image,
    require,
    top_pairs,
    top_per_row,
)
from kedge.types import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class HardNegatives:
    """All positives, and ``ratio`` times as many negatives of the largest ``loss``, image by image.

    An image without positives gives its ``empty_image`` hardest negatives.

    Raises ValueError without ``loss`` (B, N) (SSD: the classification loss) and for negative
    settings.

    Source: Liu et al., arXiv:1512.02325, section 2.2. Deviation: in torchvision and MMDetection an
    image without objects adds no negatives, so it teaches nothing; ``empty_image=0`` gives that.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"loss"})
    everything: ClassVar[bool] = False

    ratio: float = 3.0
    empty_image: int = 16

    def __post_init__(self) -> None:
        if self.ratio < 0 or self.empty_image < 0:
            raise ValueError(
                f"HardNegatives: ratio {self.ratio} and empty_image {self.empty_image} must be >= 0"
            )

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        del iou, generator  # part of the contract; the loss alone decides
        loss, rows = require(loss, "loss", assignment, self), Rows(assignment)
        count = positives_per_image(assignment)
        wanted = torch.where(count > 0, (self.ratio * count).long(), self.empty_image)
        background = rows.table(assignment.is_background(), False)
        chosen = top_per_row(rows.table(loss, 0), background, wanted)
        everything = torch.arange(len(assignment), device=loss.device)
        return Sample(positive=everything, negative=rows.flat(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class OHEM:
    """Online hard example mining: the ``size`` anchors of the largest ``loss`` of every image.

    ``positive_share`` None ranks positives and negatives together (the paper's form; all pairs of
    a chosen anchor are positives, and the anchor counts once). A number keeps at most that share
    of positives, the hardest ones, and fills up with the hardest negatives (MMDetection's form).

    Raises ValueError without ``loss`` (B, N), for a negative size or a share outside [0, 1].

    Source: Shrivastava et al., arXiv:1604.03540, section 4. Deviation: the paper first removes
    duplicates by NMS on the losses, which needs boxes; do that, if wanted, before.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"loss"})
    everything: ClassVar[bool] = False

    size: int = 512
    positive_share: float | None = None

    def __post_init__(self) -> None:
        share = self.positive_share
        if self.size < 0 or (share is not None and not 0 <= share <= 1):
            raise ValueError(
                f"OHEM: size {self.size} must be >= 0 and positive_share {share} None or in [0, 1]"
            )

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        del iou, generator  # part of the contract; the loss alone decides
        loss, rows = require(loss, "loss", assignment, self), Rows(assignment)
        background = rows.table(assignment.is_background(), False)
        if self.positive_share is not None:
            count = positives_per_image(assignment)
            quota = count.clamp(max=int(self.size * self.positive_share))
            positive = top_pairs(loss[assignment.anchor], assignment, quota)
            chosen = top_per_row(rows.table(loss, 0), background, self.size - quota)
            return Sample(positive=positive, negative=rows.flat(chosen))
        eligible = assignment.is_background().index_fill(0, assignment.anchor, True)
        wanted = torch.full((len(background),), self.size, device=loss.device)
        chosen = top_per_row(rows.table(loss, 0), rows.table(eligible, False), wanted)
        taken = torch.zeros_like(eligible).index_fill_(0, rows.flat(chosen), True)
        return Sample(
            positive=taken[assignment.anchor].nonzero()[:, 0],
            negative=rows.flat(chosen & background),
        )
