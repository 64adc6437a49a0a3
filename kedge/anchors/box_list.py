"""BoxList: a list of boxes and whose they are, without a grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from kedge.boxes import centres, iou, sizes
from kedge.types import Detections, Targets


@dataclass(frozen=True, eq=False)
class BoxList:
    """The boxes of a list, by rows of the batch: see ``Boxes``."""

    anchor_boxes: Tensor
    image: Tensor | None = None
    batch_size: int | None = None
    strides: Tensor | None = None
    levels: Tensor | None = None
    num_levels: int = 1
    per_image: int | None = None
    image_size: tuple[int, int] | None = None

    shapes = None

    def __post_init__(self) -> None:
        boxes = self.anchor_boxes
        if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
            raise ValueError(
                "Boxes takes boxes (N, 4) or (B, N, 4) xyxy, or (M, 4) with their image (M,), got "
                f"{tuple(boxes.shape)}"
            )
        bad = ~torch.isfinite(boxes.detach()).reshape(-1, 4).all(1)
        if bool(bad.any()):
            raise ValueError(f"Boxes: anchor box {int(bad.nonzero()[0])} is NaN or infinite")
        if boxes.ndim == 3:
            batch, count = boxes.shape[:2]
            image = torch.arange(batch, device=boxes.device).repeat_interleave(count)
            self._set(anchor_boxes=boxes.reshape(-1, 4), image=image)
            self._set(batch_size=batch, per_image=count)
        elif self.image is None:
            self._set(per_image=len(boxes))
        else:
            self._check_images(self.image)

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_images(self, image: Tensor) -> None:
        if image.shape != (len(self.anchor_boxes),) or self.batch_size is None:
            raise ValueError(
                f"Boxes: packed boxes need `image` ({len(self.anchor_boxes)},) and `batch_size`, "
                f"got {tuple(image.shape)} and {self.batch_size}"
            )
        if len(image) and bool(
            (image[1:] < image[:-1]).any() | (image[0] < 0) | (image[-1] >= self.batch_size)
        ):
            raise ValueError(
                f"Boxes: `image` must ascend and lie in [0, {self.batch_size}): sort the boxes by "
                "image"
            )

    @classmethod
    def from_list(cls, boxes: Sequence[Tensor]) -> Self:
        """From one (n, 4) an image, of any n."""
        rows = [torch.as_tensor(part).reshape(-1, 4) for part in boxes]
        device = rows[0].device if rows else None
        count = torch.tensor([len(part) for part in rows], device=device, dtype=torch.int64)
        image = torch.arange(len(rows), device=device).repeat_interleave(count)
        packed = torch.cat(rows) if rows else torch.zeros(0, 4)
        return cls(packed, image, batch_size=len(rows))

    @classmethod
    def from_detections(cls, found: Detections, objects: Targets | None = None) -> Self:
        """Proposals as anchors, without their graph; ``objects``: see ``with_objects``."""
        boxes = cls(found.boxes.detach(), found.image, batch_size=found.batch_size)
        return boxes if objects is None else boxes.with_objects(objects)

    def with_objects(self, objects: Targets) -> Self:
        """With the objects that are no crowd at the end of each image's list, as a second stage is
        trained; the strides and levels of the boxes are dropped."""
        if self.image is None:
            raise ValueError(
                "Boxes.with_objects takes packed boxes: these are shared by all images"
            )
        self.total(objects.batch_size)
        real = ~objects.ignore
        boxes = torch.cat([self.anchor_boxes, objects.boxes[real].to(self.anchor_boxes)])
        image = torch.cat([self.image, objects.image[real]])
        order = torch.argsort(image, stable=True)
        return type(self)(boxes[order], image[order], batch_size=self.batch_size)

    def __len__(self) -> int:
        return len(self.anchor_boxes)

    @property
    def shared(self) -> bool:
        """Whether all images have the same boxes."""
        return self.image is None

    def select(self, rows: Tensor) -> Self:
        """The boxes of ``rows`` (P,) ascending of the batch; each image keeps its own."""
        if self.image is None or self.batch_size is None:
            raise ValueError("Boxes.select takes packed boxes: these are shared by all images")

        def part(column: Tensor | None) -> Tensor | None:
            return None if column is None else column[rows]

        return replace(
            self, anchor_boxes=self.anchor_boxes[rows], image=self.image[rows],
            strides=part(self.strides), levels=part(self.levels), per_image=None,
        )  # fmt: skip

    @property
    def per_level(self) -> tuple[int, ...] | None:
        """All of an image's, where there is one level and each image has equally many."""
        one = self.num_levels == 1 and self.per_image is not None
        return (self.per_image,) if one else None  # pyright: ignore[reportReturnType]

    # -- rows

    def total(self, batch: int) -> int:
        """Rows of a batch of so many images; ``ValueError`` where the boxes are for another."""
        if self.shared:
            return batch * len(self)
        if batch != self.batch_size:
            raise ValueError(
                f"these Boxes are of {self.batch_size} images, the targets of {batch}: one list "
                "for every image of the batch"
            )
        return len(self)

    def count(self, batch: int) -> Tensor:
        """(B,) rows of every image."""
        if self.image is None:
            return torch.full((batch,), len(self), device=self.anchor_boxes.device)
        self.total(batch)
        return torch.bincount(self.image, minlength=batch)

    def image_of(self, rows: Tensor) -> Tensor:
        """(P,) image of every row."""
        if self.image is None:
            return rows.div(max(len(self), 1), rounding_mode="floor")
        return self.image[rows]

    def place(self, rows: Tensor) -> Tensor:
        """(P,) places in the list of rows (P,)."""
        return rows % max(len(self), 1) if self.shared else rows

    def boxes(self, rows: Tensor | None = None) -> Tensor:
        """(P, 4) boxes of rows (P,); each once without them."""
        return self.anchor_boxes if rows is None else self.anchor_boxes[self.place(rows)]

    def points(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) centres x, y."""
        return centres(self.boxes(rows))

    def shape_of(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) width and height."""
        return sizes(self.boxes(rows))

    def shape_index(self, rows: Tensor) -> Tensor:
        """A list has no shapes that repeat: ``ValueError``."""
        raise ValueError("Boxes have no shapes in common: each is its own")

    def stride(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) of the cells that the boxes came from, else their own width and height."""
        if self.strides is None:
            return self.shape_of(rows)
        return self.strides if rows is None else self.strides[self.place(rows)]

    def level(self, rows: Tensor | None = None) -> Tensor:
        """(P,) level that the boxes came from, else zeros."""
        if self.levels is not None:
            return self.levels if rows is None else self.levels[self.place(rows)]
        count = len(self) if rows is None else len(rows)
        return torch.zeros(count, dtype=torch.int64, device=self.anchor_boxes.device)

    def level_strides(self) -> Tensor:
        """(L, 2) the largest stride of every level."""
        stride = self.stride().detach()
        out = stride.new_zeros(self.num_levels, 2)
        return out.scatter_reduce(0, self.level()[:, None].expand(-1, 2), stride, "amax")

    def cells(self, rows: Tensor) -> Tensor:
        """A list has no cells: ``ValueError``."""
        raise self.no_cells()

    def pitch(self, rows: Tensor) -> Tensor:
        """A list has no cells: ``ValueError``."""
        raise self.no_cells()

    @staticmethod
    def no_cells() -> ValueError:
        """The error for what only a grid can answer."""
        return ValueError("Boxes have no cells: strategies that need a cell take a Grid")

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) IoU of anchor boxes (P, 4) and boxes (P, 4)."""
        return iou(a, b)
