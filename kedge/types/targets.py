"""Targets: the ground truth of a batch, packed."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


def _where_bad(bad: Tensor, image: Tensor) -> str:
    row = int(bad.nonzero()[0, 0])
    before = int((image[:row] == image[row]).sum())
    return f"image {int(image[row])}, object {before} (row {row})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """The ground truth of a batch, packed.

    Attributes:
        boxes: (G, 4) float ``xyxy`` pixels, finite, ``x1 <= x2`` and ``y1 <= y2``. A box without
            area is accepted, overlaps nothing (IoU 0) and is counted in the diagnostics.
        labels: (G,) int64, 0-based class index.
        image: (G,) int64, ascending: the image of each object, in ``[0, batch_size)``.
        ignore: (G,) bool: a crowd. Never a positive; the anchors that it covers are ignored.
        batch_size: number of images, those without objects included.
        extremes: (G, 4) x of the topmost point of an object, y of the leftmost, x of the
            bottommost, y of the rightmost, each on a side of its box; NaN where that is not known,
            None where it is of no object.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor
    batch_size: int
    ignore: Tensor = None  # pyright: ignore[reportAssignmentType]  # None means: no crowds
    extremes: Tensor | None = None
    all_real: bool = field(init=False, repr=False)  # no object is a crowd
    highest: int = field(init=False, repr=False)  # label; -1 without objects

    def __post_init__(self) -> None:
        if self.ignore is None:
            object.__setattr__(self, "ignore", torch.zeros_like(self.image, dtype=torch.bool))
        if not self.boxes.is_floating_point():
            object.__setattr__(self, "boxes", self.boxes.float())
        self._check()

    def _check(self) -> None:
        boxes, image, count = self.boxes, self.image, len(self.image)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"Targets.boxes must be (G, 4) xyxy, got {tuple(boxes.shape)}")
        for name in ("labels", "ignore"):
            if getattr(self, name).shape != (len(boxes),):
                shape = tuple(getattr(self, name).shape)
                raise ValueError(f"Targets.{name} must be ({len(boxes)},) like boxes, got {shape}")
        if self.extremes is not None and self.extremes.shape != boxes.shape:
            shape = tuple(self.extremes.shape)
            raise ValueError(f"Targets.extremes must be ({len(boxes)}, 4) like boxes, got {shape}")
        if count != len(boxes):
            raise ValueError(f"Targets.image must be ({len(boxes)},) like boxes, got ({count},)")
        object.__setattr__(self, "all_real", True)
        object.__setattr__(self, "highest", -1)
        if count == 0:
            return
        finite = torch.isfinite(boxes).all(1)
        flipped = (boxes[:, 2:] < boxes[:, :2]).any(1)
        misplaced = (image < 0) | (image >= self.batch_size) | (self.labels < 0)
        unsorted = torch.zeros_like(misplaced)
        unsorted[1:] = image[1:] < image[:-1]
        wrong = ~finite | flipped | misplaced | unsorted
        # one transfer to the host for all that it has to know
        flags = torch.stack([wrong.any(), self.ignore.any(), self.labels.max()])
        bad, crowds, highest = flags.tolist()
        if bad:
            self._explain(finite, flipped, misplaced, unsorted)
        object.__setattr__(self, "all_real", not crowds)
        object.__setattr__(self, "highest", highest)

    def _explain(
        self, finite: Tensor, flipped: Tensor, misplaced: Tensor, unsorted: Tensor
    ) -> None:
        for bad, what in (
            (~finite, "has a NaN or infinite box"),
            (flipped, "has a flipped box (x2 < x1 or y2 < y1); boxes are xyxy, not xywh"),
            (misplaced, "has an image index outside the batch or a negative label"),
            (unsorted, "is out of order: sort the objects by image"),
        ):
            if bool(bad.any()):
                row = self.boxes[bad.nonzero()[0, 0]].tolist()
                raise ValueError(f"target of {_where_bad(bad, self.image)} {what}: {row}")

    @classmethod
    def from_list(cls, targets: Sequence[Mapping[str, Any]]) -> "Targets":
        """Packs torchvision's target dictionaries, one per image.

        Each has ``boxes`` (n, 4) and optionally ``labels`` (n,) (default 0), ``iscrowd`` (n,)
        (default 0) and ``extremes`` (n, 4) (default NaN)."""
        boxes = [torch.as_tensor(t["boxes"]).reshape(-1, 4) for t in targets]
        if not boxes:
            empty = torch.zeros(0, dtype=torch.int64)
            return cls(boxes=torch.zeros(0, 4), labels=empty, image=empty, batch_size=0)
        device = boxes[0].device

        def column(key: str, dtype: torch.dtype) -> Tensor:
            rows = []
            for i, (target, box) in enumerate(zip(targets, boxes)):
                value = target.get(key)
                row = (
                    torch.zeros(len(box), device=device)
                    if value is None
                    else torch.as_tensor(value)
                )
                if row.numel() != len(box):
                    raise ValueError(
                        f"target of image {i}: {key!r} must have an entry a box, {len(box)}, "
                        f"not {row.numel()}"
                    )
                rows.append(row.reshape(-1).to(device=device, dtype=dtype))
            return torch.cat(rows)

        count = torch.tensor([len(b) for b in boxes], device=device)
        return cls(
            boxes=torch.cat([b if b.is_floating_point() else b.float() for b in boxes]),
            labels=column("labels", torch.int64),
            image=torch.arange(len(boxes), device=device).repeat_interleave(count),
            ignore=column("iscrowd", torch.bool),
            batch_size=len(boxes),
            extremes=_extremes_of(targets, boxes),
        )

    def __len__(self) -> int:
        return self.boxes.shape[0]  # which is cheaper than the length of a tensor

    @cached_property
    def real(self) -> Tensor:
        """(g,) rows of the objects that are no crowds."""
        if self.all_real:
            return torch.arange(len(self), device=self.boxes.device)
        return (~self.ignore).nonzero()[:, 0]

    def of_real(self, values: Tensor) -> Tensor:
        """(g, ...) of values (G, ...): those of the objects that are no crowds."""
        return values if self.all_real else values.index_select(0, self.real)

    @cached_property
    def crowds(self) -> Tensor:
        """(c,) rows of the crowds."""
        return self.image[:0] if self.all_real else self.ignore.nonzero()[:, 0]

    @property
    def count(self) -> Tensor:
        """(B,) objects per image, crowds included."""
        none = torch.zeros(self.batch_size, dtype=torch.int64, device=self.image.device)
        return none.scatter_add_(0, self.image, torch.ones_like(self.image))

    @property
    def first(self) -> Tensor:
        """(B,) row of the first object of every image."""
        count = self.count
        return count.cumsum(0) - count

    def only(self, mask: Tensor) -> "Targets":
        """The same rows, of which a query sees those where ``mask`` (G,) is true: the others count
        as crowds."""
        part = self._copied()
        object.__setattr__(part, "ignore", self.ignore | ~mask)
        object.__setattr__(part, "all_real", False)
        return part

    def between(self, first: int, stop: int) -> "Targets":
        """Rows ``first`` to ``stop``, which is not among them, of a batch of as many images; no
        copy."""
        part = self._copied()
        for name in ("boxes", "labels", "image", "ignore", "extremes"):
            rows = getattr(self, name)
            object.__setattr__(part, name, None if rows is None else rows[first:stop])
        return part

    def _copied(self) -> "Targets":
        """The same, which has been checked, without what follows from the rows and is kept."""
        part = copy(self)
        for known in ("real", "crowds"):
            part.__dict__.pop(known, None)
        return part

    def as_one_class(self) -> "Targets":
        """The same objects, all of class 0: what a first stage looks for."""
        return replace(self, labels=torch.zeros_like(self.labels))

    def to(self, device: torch.device | str) -> "Targets":
        """The same targets on ``device``."""
        moved = {k: getattr(self, k).to(device) for k in ("boxes", "labels", "image", "ignore")}
        if self.extremes is not None:
            moved["extremes"] = self.extremes.to(device)
        return replace(self, **moved)


def _extremes_of(targets: Sequence[Mapping[str, Any]], boxes: list[Tensor]) -> Tensor | None:
    """Those that the targets have, as one table; None where none has any."""
    if not any("extremes" in target for target in targets):
        return None
    rows = []
    for number, (target, box) in enumerate(zip(targets, boxes)):
        row = target.get("extremes")
        row = torch.full_like(box, torch.nan) if row is None else torch.as_tensor(row).to(box)
        if row.shape != box.shape:
            raise ValueError(
                f"target of image {number}: 'extremes' must be ({len(box)}, 4), as its boxes are, "
                f"not {tuple(row.shape)}"
            )
        rows.append(row)
    return torch.cat(rows)
