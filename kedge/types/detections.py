"""Detections: what a detector found in a batch, packed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """What a detector found in a batch, packed, best first within each image.

    Attributes:
        boxes: (D, 4) ``xyxy`` pixels. scores: (D,) in [0, 1]. labels: (D,) 0-based classes.
        image: (D,) ascending image index. batch_size: number of images.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    image: Tensor
    batch_size: int

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4):
            raise ValueError(f"Detections.boxes must be (D, 4), got {tuple(self.boxes.shape)}")
        for name in ("scores", "labels", "image"):
            if getattr(self, name).shape != (count,):
                shape = tuple(getattr(self, name).shape)
                raise ValueError(f"Detections.{name} must be ({count},) like boxes, got {shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def to_list(self) -> list[dict[str, Tensor]]:
        """torchvision's form: one dictionary of ``boxes``, ``scores``, ``labels`` per image."""
        count = torch.bincount(self.image, minlength=self.batch_size).tolist()
        columns = {name: getattr(self, name).split(count) for name in ("boxes", "labels", "scores")}
        return [{k: rows[i] for k, rows in columns.items()} for i in range(self.batch_size)]

    @classmethod
    def from_list(cls, detections: Iterable[Mapping[str, Tensor]]) -> "Detections":
        """Packs torchvision's result dictionaries."""
        rows = list(detections)
        if not rows:
            empty = torch.zeros(0)
            return cls(
                boxes=torch.zeros(0, 4),
                scores=empty,
                labels=empty.long(),
                image=empty.long(),
                batch_size=0,
            )
        count = torch.tensor([len(r["boxes"]) for r in rows])
        return cls(
            boxes=torch.cat([r["boxes"] for r in rows]),
            scores=torch.cat([r["scores"] for r in rows]),
            labels=torch.cat([r["labels"] for r in rows]),
            image=torch.arange(len(rows)).repeat_interleave(count),
            batch_size=len(rows),
        )
