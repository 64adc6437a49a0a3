"""What a detector says of images of one size, with all that the size decides made beforehand.

A graph must not depend on values: which anchors there are is known, how many boxes pass is not. So
anchors become constants here, and every anchor answers."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kedge.anchors import Grid
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.detector import Detector
from kedge.detectors.images import pad_to_multiple
from kedge.detectors.refinement import Refining
from kedge.select import Selection
from kedge.types import Coder, Predictions


class Answers(NamedTuple):
    """At every anchor: scores (B, N, C) in [0, 1], codes (B, N, D), or (B, N, C, D) of each class,
    the anchor (B, N, 4) and the size of its cell (B, N, 2)."""

    scores: Tensor
    codes: Tensor
    anchors: Tensor
    strides: Tensor


class Static(nn.Module, ABC):
    """A detector for images of ``size`` (H, W), a network whose outputs have fixed sizes."""

    def __init__(self, detector: Detector, size: tuple[int, int]) -> None:
        super().__init__()
        self.detector, self.size = detector, size

    @abstractmethod
    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """Raw outputs by name, (B, N, ...) or maps, of images (B, 3, H, W)."""


class Answering(Static):
    """One that says of a fixed number of places what is there: it finds boxes.

    ``levels`` are the numbers of places of each level, ``selection`` says which become detections.
    """

    levels: tuple[int, ...]
    selection: Selection

    @abstractmethod
    def answers(self, images: Tensor) -> Answers:
        """What it says at every place."""

    @abstractmethod
    def boxes(self, said: Answers, rows: Tensor, labels: Tensor) -> Tensor:
        """(B, K, 4) the boxes of places (B, K), those of class ``labels`` (B, K) where every class
        has its own."""

    @abstractmethod
    def every_box(self, said: Answers) -> Tensor:
        """(B, N, 4) the boxes of all places, where classes share them; ``ValueError`` else."""


class OnGrid(Answering):
    """One whose places are anchors; ``coder`` writes the codes relative to them."""

    anchors: Tensor
    strides: Tensor

    def __init__(
        self,
        detector: Detector,
        size: tuple[int, int],
        coder: Coder,
        selection: Selection,
        grid: Grid | None = None,
    ) -> None:
        super().__init__(detector, size)
        self.coder, self.selection = coder, selection
        self.grid = grid = grid_of(detector, size) if grid is None else grid
        self.levels = grid.anchors_per_level
        self.register_buffer("anchors", grid.boxes().detach().float())
        self.register_buffer("strides", grid.stride().detach().float())

    def boxes(self, said: Answers, rows: Tensor, labels: Tensor) -> Tensor:
        codes, at = said.codes, rows
        if codes.ndim == 4:
            codes, at = codes.flatten(1, 2), rows * codes.shape[2] + labels
        anchors, strides = picked(said.anchors, rows), picked(said.strides, rows)
        return decoded(self.coder, anchors, picked(codes, at), strides)

    def every_box(self, said: Answers) -> Tensor:
        if said.codes.ndim == 4:
            raise ValueError(
                "--form decoded: every class has a box of its own here: take nms, or train with "
                "class_specific=false"
            )
        return decoded(self.coder, said.anchors, said.codes, said.strides)

    def of_grid(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Anchors (B, N, 4) and cell sizes (B, N, 2) of the grid."""
        batch = images.shape[0]
        anchors, strides = self.anchors, self.strides
        return anchors.expand(batch, *anchors.shape), strides.expand(batch, *strides.shape)


class StaticDense(OnGrid):
    """Of a detector of one stage; ``grid`` where its own is not what it answers at."""

    detector: Dense

    def __init__(self, detector: Dense, size: tuple[int, int], grid: Grid | None = None) -> None:
        super().__init__(detector, size, detector.coder, detector.selection, grid)

    def _said(self, images: Tensor) -> Maps:
        return self.detector.predict_maps(pad_to_multiple(images, self.detector.multiple))

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        said = self._said(images)
        return {"logits": said.logits, "codes": said.codes, **said.branches}

    def answers(self, images: Tensor) -> Answers:
        said = self._said(images)
        predictions = Predictions.from_dense(
            said.logits, said.codes, self.grid, self.coder, self.detector.loss.class_scores,
            **said.branches,
        )  # fmt: skip
        scores = self.detector.scores(predictions).unflatten(0, said.logits.shape[:2])
        return Answers(scores, said.codes, *self.placed(said, images))

    def placed(self, said: Maps, images: Tensor) -> tuple[Tensor, Tensor]:
        """Anchors and cell sizes, as ``of_grid`` gives them."""
        del said  # they are the grid's, whatever the network says
        return self.of_grid(images)


class StaticRefining(OnGrid):
    """Of a detector whose second step answers at the anchors that the first has moved."""

    detector: Refining

    def __init__(self, detector: Refining, size: tuple[int, int]) -> None:
        super().__init__(detector, size, detector.regions.coder, detector.regions.selection)

    def _steps(self, images: Tensor) -> tuple[Predictions, Tensor, Tensor]:
        maps = self.detector.features(pad_to_multiple(images, self.detector.multiple))
        first = self.detector.proposals.predict(maps, self.grid)
        logits, codes = self.detector.regions.layers(maps)
        return first, logits, codes

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        first, logits, codes = self._steps(images)
        return {
            "logits": logits, "codes": codes, "first_logits": first.logits,
            "first_codes": first.codes,
        }  # fmt: skip

    def answers(self, images: Tensor) -> Answers:
        first, logits, codes = self._steps(images)
        anchors, strides = self.of_grid(images)
        moved = decoded(self.detector.proposals.coder, anchors, first.codes, strides)
        scores = self.detector.regions.loss.class_scores.probability(logits)
        easy = self.detector.easy(first).unflatten(0, logits.shape[:2])
        scores = torch.where(easy[..., None], torch.zeros_like(scores), scores)
        return Answers(scores, codes, moved, strides)


def grid_of(detector: Detector, size: tuple[int, int]) -> Grid:
    """The anchors of a detector for images of ``size`` (H, W), which are padded first."""
    height, width = (side + -side % detector.multiple for side in size)
    grid = detector.grid((height, width))
    assert grid is not None, "of a detector with anchors"
    return grid


def decoded(coder: Coder, anchors: Tensor, codes: Tensor, strides: Tensor) -> Tensor:
    """(B, K, 4) the boxes that codes (B, K, D) write beside anchors (B, K, 4)."""
    rows = coder.decode(anchors.flatten(0, 1), codes.flatten(0, 1), strides.flatten(0, 1))
    return rows.unflatten(0, anchors.shape[:2])


def picked(table: Tensor, rows: Tensor) -> Tensor:
    """(B, K, D) rows (B, K) of a table (B, N, D)."""
    return table.gather(1, rows[..., None].expand(-1, -1, table.shape[-1]))
