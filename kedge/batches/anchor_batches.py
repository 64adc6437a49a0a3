"""AnchorBatches: images, and for every anchor its label and its offsets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kedge.anchors import Grid
from kedge.batches.answers import Answer, joined, split
from kedge.coders import DeltaCoder
from kedge.data import DetectionDataset, collate
from kedge.types import Assigner, Assignment, Coder, Targets


@dataclass(frozen=True, kw_only=True, eq=False)
class AnchorBatch:
    """What a training step needs of B images with N anchors each.

    Attributes:
        images: (B, 3, H, W) float32 in [0, 1].
        targets: the objects of the batch, in pixels of these images.
        assignment: the sparse form: pairs of anchors and objects, and the ignored anchors.
        offsets: (P, C) what a network has to predict at each of the P pairs, by the coder.

    The dense form is made when it is asked for.
    """

    images: Tensor
    targets: Targets
    assignment: Assignment
    offsets: Tensor

    @property
    def anchors(self) -> Tensor:
        """(N, 4) boxes of the anchors, xyxy pixels, the same for every image."""
        assert self.assignment.anchors is not None
        return self.assignment.anchors.boxes()

    @cached_property
    def labels(self) -> Tensor:
        """(B, N) int64 for every anchor: the class of its object, -1 background, -2 ignored."""
        labels = self.assignment.dense()
        labels.view(-1)[self._one.anchor] = self._one.labels
        return labels

    @cached_property
    def dense_offsets(self) -> Tensor:
        """(B, N, C) offsets of every anchor to its object, 0 where it has none."""
        batch, count = self.assignment.shape
        out = self.offsets.new_zeros(batch * count, self.offsets.shape[1])
        out[self._one.anchor] = self.offsets[self._shown]
        return out.view(batch, count, -1)

    @cached_property
    def _shown(self) -> Tensor:
        """(P',) the pairs that the dense form shows: one for each positive anchor."""
        pairs = self.assignment
        local = pairs.target - self.targets.first[pairs.image]
        return (pairs.dense().view(-1)[pairs.anchor] == local).nonzero()[:, 0]

    @cached_property
    def _one(self) -> Assignment:
        return self.assignment.only(self._shown)

    def numpy(self) -> dict[str, np.ndarray]:
        """The dense form without torch: ``images`` (B, H, W, 3), ``anchors`` (N, 4), ``labels``
        (B, N), ``offsets`` (B, N, C)."""
        parts = {
            "images": self.images.permute(0, 2, 3, 1),
            "anchors": self.anchors,
            "labels": self.labels,
            "offsets": self.dense_offsets,
        }
        return {name: part.detach().cpu().numpy() for name, part in parts.items()}

    def to(self, device: torch.device | str) -> "AnchorBatch":
        """The same batch on ``device``."""
        given = self.assignment
        assert isinstance(given.anchors, Grid)
        targets = self.targets.to(device)
        parts = {
            n: getattr(given, n).to(device)
            for n in ("anchor", "target", "weight", "quality", "ignored")
        }
        moved = Assignment(**parts, targets=targets, anchors=given.anchors.to(device))
        return AnchorBatch(
            images=self.images.to(device),
            targets=targets,
            assignment=moved,
            offsets=self.offsets.to(device),
        )


class AnchorBatches:
    """Batches of a data set with the ground truth of their anchors, for any training loop.

    ``for batch in AnchorBatches(dataset, grid, ATSS(), DeltaCoder()):`` gives ``AnchorBatch``.
    Each pass through it is an epoch with its own augmentation and order (``dataset.set_epoch``).
    Anchors are assigned image by image where images are loaded, so in the worker processes where
    there are any; ``Cached(rule, folder)`` as ``assign`` keeps the answers between epochs.

    ``grid``: anchors over the network's input; every image must have its size when the data set's
    transform is through with it. ``assign``: a rule of geometry; those that read predictions say
    that they cannot work here. ``coder``: DeltaCoder() unless said.

    Errors: ``ValueError`` where an image has another size than the grid, by its number, or where
    the rule brings losses of its own.
    """

    def __init__(
        self,
        dataset: DetectionDataset,
        grid: Grid,
        assign: Assigner,
        coder: Coder | None = None,
        *,
        batch_size: int = 8,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.grid = dataset, grid.detach()
        self.assign, self.coder = assign, coder or DeltaCoder()
        self.seed, self.epoch = seed, 0
        self._order = torch.Generator()
        self._loader = DataLoader(
            _Assigned(dataset, self.grid, assign),
            batch_size,
            shuffle=shuffle,
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=_together,
            generator=self._order,
            persistent_workers=workers > 0,
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._loader)

    def __iter__(self) -> Iterator[AnchorBatch]:
        self.dataset.set_epoch(self.epoch)
        self._order.manual_seed(self.seed + self.epoch)
        self.epoch += 1
        for images, targets, answers in self._loader:
            assignment = joined(answers, self.grid, targets)
            boxes, rows = self.grid.boxes(assignment.anchor), assignment.anchor
            offsets = self.coder.encode(boxes, assignment.boxes, self.grid.stride(rows))
            yield AnchorBatch(
                images=images, targets=targets, assignment=assignment, offsets=offsets
            )


class _Assigned(Dataset[tuple[Tensor, dict[str, Any], Answer]]):
    """Items of the data set with the answer of their image."""

    def __init__(self, dataset: DetectionDataset, grid: Grid, assign: Assigner) -> None:
        self.dataset, self.grid, self.assign = dataset, grid, assign

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any], Answer]:
        image, target = self.dataset[index]
        size = (image.shape[-2], image.shape[-1])
        if size != self.grid.image_size:
            raise ValueError(
                f"image {index} is {size[0]} x {size[1]} (height x width), the grid is for "
                f"{self.grid.image_size[0]} x {self.grid.image_size[1]}: give the data set a "
                "transform that makes them so, as eval_transforms does"
            )
        [answer] = split(self.assign(self.grid, Targets.from_list([target])))
        return image, target, answer


def _together(
    items: list[tuple[Tensor, dict[str, Any], Answer]],
) -> tuple[Tensor, Targets, list[Answer]]:
    images, targets = collate([(image, target) for image, target, _ in items])
    return images, Targets.from_list(targets), [answer for _, _, answer in items]
