"""The contract of samplers, and choosing per image without a loop over images."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from kedge.anchors.boxes import Boxes
from kedge.types import Assignment, ClassWeights


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Which anchors enter the losses.

    Attributes:
        positive: (P',) int64 ascending, indices into the assignment's pairs. negative: (Q,) int64
        ascending, rows of background anchors.
    """

    positive: Tensor
    negative: Tensor

    def __len__(self) -> int:
        return len(self.positive) + len(self.negative)

    def keep(self, boxes: Boxes, assignment: Assignment) -> tuple[Boxes, Assignment, "Sample"]:
        """The sampled boxes alone, with their assignment and a sample of all of them: what a second
        stage computes features of."""
        chosen = assignment.only(self.positive)
        rows = torch.cat([chosen.anchor, self.negative]).unique()
        kept = boxes.select(rows)
        chosen = replace(
            chosen,
            anchor=torch.searchsorted(rows, chosen.anchor),
            ignored=chosen.anchor[:0],  # those are in no sample
            background_weight=_weights_among(rows, assignment.background_weight),
            anchors=kept,
            num_anchors=None,
        )
        everything = torch.arange(len(chosen), device=rows.device)
        negative = torch.searchsorted(rows, self.negative)
        return kept, chosen, Sample(positive=everything, negative=negative)


def _weights_among(rows: Tensor, weights: ClassWeights | None) -> ClassWeights | None:
    """Those of ``weights`` that speak of ``rows`` (R,) ascending, by their place there."""
    if weights is None:
        return None
    keep = torch.isin(weights.anchor, rows)
    anchor, label, weight = (column[keep] for column in weights)
    return ClassWeights(torch.searchsorted(rows, anchor), label, weight)


class Sampler(Protocol):
    """Chooses for the whole batch at once, each image by itself. Ignored anchors are never chosen.

    ``loss`` (M,) or (B, N) is the current loss of every anchor, ``iou`` alike its largest IoU with
    any target; a sampler that needs one says so in ``needs`` and raises ValueError without it. The
    same ``generator`` state gives the same sample. Positives are counted in pairs. Nothing carries
    gradients. ``everything``: all anchors enter, always.
    """

    needs: ClassVar[frozenset[str]]
    everything: ClassVar[bool]

    def __call__(
        self,
        assignment: Assignment,
        loss: Tensor | None = None,
        iou: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Sample:
        """The sample of ``assignment``."""
        ...


def require(values: Tensor | None, name: str, assignment: Assignment, sampler: object) -> Tensor:
    """``values`` (M,) detached, or a ValueError naming the argument that is missing or
    misshapen."""
    if values is None:
        raise ValueError(f"{type(sampler).__name__} needs the argument `{name}` (B, N)")
    uniform = assignment.num_anchors is not None
    if values.shape not in ((assignment.total,), assignment.shape if uniform else None):
        raise ValueError(
            f"{type(sampler).__name__}: {name} {tuple(values.shape)} must be (B, N), "
            f"here {assignment.shape if uniform else (assignment.total,)}"
        )
    return values.detach().flatten()


@dataclass(frozen=True, eq=False)
class Rows:
    """Values of a batch's anchors (M,) as a table with a row for every image, and back.

    A view where every image has equally many anchors; else padded to the longest.
    """

    assignment: Assignment

    @cached_property
    def _places(self) -> Tensor:
        """(M,) place of every anchor in the flattened table."""
        count = self.assignment.rows_per_image()
        image = torch.repeat_interleave(count)
        first = count.cumsum(0) - count
        return image * self.width + torch.arange(len(image), device=image.device) - first[image]

    @cached_property
    def width(self) -> int:
        """Columns of the table."""
        count = self.assignment.rows_per_image()
        return int(count.max()) if len(count) else 0

    def table(self, values: Tensor, fill: float) -> Tensor:
        """(B, width) of values (M,); ``fill`` where an image has fewer."""
        batch = self.assignment.targets.batch_size
        if self.assignment.num_anchors is not None:
            return values.view(batch, self.assignment.num_anchors)
        out = values.new_full((batch * self.width,), fill)
        return out.index_copy_(0, self._places, values).view(batch, self.width)

    def flat(self, mask: Tensor) -> Tensor:
        """Rows of the batch, ascending, where a table (B, width) is true."""
        if self.assignment.num_anchors is None:
            mask = mask.flatten()[self._places]
        return mask.flatten().nonzero()[:, 0]


def random_like(mask: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform float32 like ``mask`` in shape and device, drawn where the generator lives."""
    device = mask.device if generator is None else generator.device
    return torch.rand(mask.shape, generator=generator, device=device).to(mask.device)


def positives_per_image(assignment: Assignment) -> Tensor:
    """(B,) number of pairs of every image."""
    image = assignment.image
    batch = assignment.targets.batch_size
    return image.new_zeros(batch).index_add(0, image, torch.ones_like(image))


def top_per_row(keys: Tensor, candidates: Tensor, k: Tensor) -> Tensor:
    """(B, N) bool: the ``k`` (B,) largest ``keys`` among the ``candidates`` of every row.

    Equal keys: the lower index. NaN counts as the largest. A row with fewer candidates gives them
    all.
    """
    k = torch.minimum(k, candidates.sum(dim=1)).clamp(min=0)
    most = int(k.max()) if len(k) else 0
    if most == 0:
        return torch.zeros_like(candidates)
    keys = keys.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    best = keys.masked_fill(~candidates, -torch.inf).topk(most, dim=1).values
    cutoff = best.gather(1, (k - 1).clamp(min=0)[:, None])
    above, level = candidates & (keys > cutoff), candidates & (keys == cutoff)
    room = k - above.sum(dim=1)
    return (above | (level & (level.cumsum(dim=1, dtype=torch.int32) <= room[:, None]))) & (k > 0)[
        :, None
    ]


def top_pairs(keys: Tensor, assignment: Assignment, k: Tensor) -> Tensor:
    """Indices (P',) ascending of the pairs with the ``k`` (B,) largest ``keys`` (P,) of every
    image.

    Equal keys: the lower index.
    """
    order = torch.argsort(keys, descending=True, stable=True)
    image = assignment.image[order]
    by_image = torch.argsort(image, stable=True)
    order, image = order[by_image], image[by_image]
    count = positives_per_image(assignment)
    place = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[image]
    return order[place < k[image]].sort().values
