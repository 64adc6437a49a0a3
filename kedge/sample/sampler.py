"""The contract of samplers, and choosing per image without a loop over images."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kedge.types import Assignment


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Which anchors enter the losses.

    Attributes:
        positive: (P',) int64 ascending, indices into the assignment's pairs. negative: (M,) int64
        ascending, flat anchor ids (``image * N + anchor``) of background anchors.
    """

    positive: Tensor
    negative: Tensor

    def __len__(self) -> int:
        return len(self.positive) + len(self.negative)


class Sampler(Protocol):
    """Chooses for the whole batch at once, each image by itself. Ignored anchors are never chosen.

    ``loss`` (B, N) is the current loss of every anchor, ``iou`` (B, N) its largest IoU with any
    target; a sampler that needs one raises ValueError without it. The same ``generator`` state
    gives the same sample. Positives are counted in pairs. Nothing carries gradients.
    """

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
    """``values`` detached, or a ValueError naming the argument that is missing or misshapen."""
    if values is None:
        raise ValueError(f"{type(sampler).__name__} needs the argument `{name}` (B, N)")
    if values.shape != assignment.shape:
        raise ValueError(
            f"{type(sampler).__name__}: {name} {tuple(values.shape)} must be (B, N), "
            f"here {assignment.shape}"
        )
    return values.detach()


def random_like(mask: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform float32 like ``mask`` in shape and device, drawn where the generator lives."""
    device = mask.device if generator is None else generator.device
    return torch.rand(mask.shape, generator=generator, device=device).to(mask.device)


def positives_per_image(assignment: Assignment) -> Tensor:
    """(B,) number of pairs of every image."""
    image = assignment.image
    return image.new_zeros(assignment.shape[0]).index_add(0, image, torch.ones_like(image))


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


def flat(mask: Tensor) -> Tensor:
    """Flat anchor ids, ascending, of a (B, N) mask."""
    return mask.flatten().nonzero()[:, 0]
