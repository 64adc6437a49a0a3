"""The IoU-balanced sampler of Libra R-CNN."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kedge.sample.sampler import (
    Rows,
    Sample,
    positives_per_image,
    random_like,
    require,
    top_pairs,
    top_per_row,
)
from kedge.types import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class IoUBalancedNegatives:
    """As `RandomSample`, but the negatives come in equal numbers from ``bins`` ranges of IoU.

    The background anchors of an image whose ``iou`` is at least ``floor`` (above it where
    ``floor`` is 0; all of them where it is None) are split into bins of equal width up to the
    largest such IoU. Each bin gives the same number at random; what a bin lacks comes from the
    others at random. The share ``floor_fraction`` of the negatives is drawn from the anchors below
    the floor.

    Raises ValueError without ``iou`` (B, N), the largest IoU of every anchor with any target, and
    for settings out of range.

    Source: Pang et al., arXiv:1904.02701 (Libra R-CNN), IoU-balanced sampling; floor and filling
    as in the authors' code in MMDetection.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"iou"})
    everything: ClassVar[bool] = False

    size: int = 256
    positive_share: float = 0.5
    bins: int = 3
    floor: float | None = None
    floor_fraction: float = 0.0

    def __post_init__(self) -> None:
        shares = 0 <= self.positive_share <= 1 and 0 <= self.floor_fraction <= 1
        if self.size < 0 or self.bins < 1 or not shares:
            raise ValueError(
                f"{self}: size must be >= 0, bins >= 1, positive_share and floor_fraction in [0, 1]"
            )

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        del loss  # part of the contract; IoU and chance decide
        iou = require(iou, "iou", assignment, self)
        quota = positives_per_image(assignment).clamp(max=int(self.size * self.positive_share))
        positive = top_pairs(random_like(assignment.anchor, generator), assignment, quota)
        rows = Rows(assignment)
        background = rows.table(assignment.is_background(), False)
        keys = random_like(background, generator)
        chosen = self._negatives(rows.table(iou, 0), keys, background, self.size - quota)
        return Sample(positive=positive, negative=rows.flat(chosen))

    def _negatives(self, iou: Tensor, keys: Tensor, background: Tensor, wanted: Tensor) -> Tensor:
        """(B, N) bool: ``wanted`` (B,) negatives of every image."""
        binned, bin_of = self._bins(iou, background)
        from_bins = (wanted * (1 - self.floor_fraction)).long()
        chosen = torch.zeros_like(background)
        for i in range(self.bins):
            chosen |= top_per_row(keys, binned & (bin_of == i), from_bins // self.bins)
        for pool, upto in (
            (binned, from_bins),
            (background & ~binned, wanted),
            (background, wanted),
        ):
            chosen |= top_per_row(keys, pool & ~chosen, upto - chosen.sum(dim=1))
        return chosen

    def _bins(self, iou: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
        """The anchors at or above the floor (B, N) and the bin of each."""
        low = self.floor or 0.0
        if self.floor is None:
            binned = background
        else:
            binned = background & (iou > 0 if low == 0 else iou >= low)
        if not iou.numel():
            return binned, torch.zeros_like(iou, dtype=torch.int64)
        high = iou.masked_fill(~binned, low).amax(dim=1, keepdim=True)
        share = (iou - low) / torch.where(high > low, high - low, torch.ones_like(high))
        return binned, (share * self.bins).long().clamp(0, self.bins - 1)
