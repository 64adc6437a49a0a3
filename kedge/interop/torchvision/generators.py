"""Anchor generators of torchvision with shapes that are learned."""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from kedge.anchors.grid import Grid
from kedge.anchors.learned import LearnedShapes
from kedge.anchors.level import Level
from kedge.anchors.recognise import ListedGrid
from kedge.boxes import centres, sizes


class LearnedGenerator(nn.Module):
    """Generates what ``peer`` does, from shapes that are parameters (``learned``).

    The anchors stand where the peer's stand. ``grid`` is that of the last call.
    """

    peer: Any

    def __init__(self, peer: Any, shapes: list[Tensor]) -> None:
        super().__init__()
        self.__dict__["peer"] = peer  # out of the model while its shapes are learned here
        self.learned = LearnedShapes([Level(stride=1, shapes=part) for part in shapes])
        self.counts = [len(part) for part in shapes]
        self.__dict__["grid"] = None

    def num_anchors_per_location(self) -> list[int]:
        """Anchors of a cell, for every map."""
        return list(self.counts)

    def place(
        self, number: int, image_size: tuple[int, int], cells: tuple[int, int]
    ) -> tuple[tuple[float, float], float]:
        """Stride (y, x) and offset of the cells (rows, columns) of map ``number``."""
        raise NotImplementedError

    def write_back(self) -> None:
        """Gives the peer the shapes that were learned."""
        raise NotImplementedError

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The anchors (N, 4) of every image, differentiable in the shapes."""
        height, width = image_list.tensors.shape[-2:]
        shapes, levels = self.learned.log_shapes.exp(), []
        for number, part in enumerate(shapes.detach().split(self.counts)):
            rows, columns = feature_maps[number].shape[-2:]
            stride, offset = self.place(number, (height, width), (rows, columns))
            level = Level(stride=stride, shapes=part, offset=offset, size=(rows, columns))
            levels.append(level)
        self.learned.set_cells_([(level.strides, level.offset) for level in levels])
        boxes = Grid((height, width), levels).with_shapes(shapes).boxes()
        self.__dict__["grid"] = ListedGrid((height, width), levels)
        return [boxes] * len(image_list.image_sizes)


class LearnedAnchorGenerator(LearnedGenerator):
    """In the place of an ``AnchorGenerator`` (RetinaNet, R-CNNs): its stride is image // map."""

    def __init__(self, peer: AnchorGenerator) -> None:
        cells = [part.detach().float() for part in peer.cell_anchors]
        super().__init__(peer, [sizes(part) for part in cells])
        self.shifts = [centres(part) for part in cells]
        if any(bool((shift != shift[0]).any()) for shift in self.shifts):
            raise ValueError("the shapes of a cell do not share one centre: they cannot be learned")

    def place(
        self, number: int, image_size: tuple[int, int], cells: tuple[int, int]
    ) -> tuple[tuple[float, float], float]:
        stride = (float(image_size[0] // cells[0]), float(image_size[1] // cells[1]))
        x, y = self.shifts[number][0].tolist()
        offset = x / stride[1]
        if abs(offset - y / stride[0]) > 1e-3:
            raise ValueError(f"map {number}: its anchors are moved by {x}, {y} px, {stride} a cell")
        return stride, offset

    def write_back(self) -> None:
        half = self.learned.shapes / 2
        self.peer.cell_anchors = [
            torch.cat([shift.to(part) - part, shift.to(part) + part], dim=1)
            for shift, part in zip(self.shifts, half.split(self.counts))
        ]


class LearnedDefaultBoxGenerator(LearnedGenerator):
    """In the place of a ``DefaultBoxGenerator`` (SSD), whose shapes are shares of the image."""

    def __init__(self, peer: DefaultBoxGenerator, size: tuple[int, int]) -> None:
        self.__dict__["size"] = torch.tensor(size, dtype=torch.float32)  # width, height
        pairs = peer._wh_pairs
        if peer.clip:
            pairs = [part.clamp(0, 1) for part in pairs]
        super().__init__(peer, [part.float() * torch.tensor(size) for part in pairs])

    def place(
        self, number: int, image_size: tuple[int, int], cells: tuple[int, int]
    ) -> tuple[tuple[float, float], float]:
        if self.peer.steps is not None:
            step = float(self.peer.steps[number])
            return (step, step), 0.5
        return (image_size[0] / cells[0], image_size[1] / cells[1]), 0.5

    def write_back(self) -> None:
        shares = self.learned.shapes.cpu() / self.__dict__["size"]
        self.peer._wh_pairs, self.peer.clip = list(shares.split(self.counts)), False
