"""Scene: what strategies are compared on: anchors, the objects of images, a detector or none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kedge.anchors import Grid
from kedge.data import Record
from kedge.data.images import decode
from kedge.data.transforms import Fit
from kedge.detectors.detector import Detector
from kedge.doctor.objects import Objects, as_seen, pack
from kedge.doctor.setups import of_detector
from kedge.train.saved import load_run
from kedge.types import Anchors, Predictions, Targets

SHOWN = 0.3  # score from which what a detector finds is drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """``objects``: of ``records``, as the network sees them, which is ``grid.image_size``."""

    title: str
    grid: Grid
    objects: Objects
    records: Sequence[Record]
    detector: Detector | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        return self.grid.image_size

    def of(self, records: Sequence[Record]) -> "Scene":
        """The same with other images."""
        objects = as_seen(pack(records), self.image_size)
        return replace(self, objects=objects, records=records)

    def batch(self, start: int, stop: int) -> tuple[Targets, Predictions | None]:
        """The targets of some images, as the detector's rule gets them where there is one, and its
        predictions of them."""
        stop = min(stop, len(self.records))
        targets = self.objects.targets(start, stop)
        if self.detector is None:
            return targets, None
        images = torch.stack([self.pixels(row) for row in range(start, stop)]).float() / 255
        with torch.no_grad():
            return self.detector.first_targets(targets), self.detector.head(images)

    def pixels(self, row: int) -> Tensor:
        """(3, H, W) uint8: an image as the network sees it."""
        return pixels_of(self.records[row], self.image_size)

    def anchors(self, predictions: Predictions | None) -> Anchors[Any]:
        """What is assigned: the grid, or the anchors that a detector predicts for itself."""
        if predictions is None or predictions.anchors is None:
            return self.grid
        return predictions.anchors


def find_image(records: Sequence[Record], name: str | None) -> Record:
    """The image called ``name``; without a name the first that has an object."""
    for record in records:
        known = name is None and len(record.boxes)
        if known or (name is not None and name in (record.name, Path(record.name).name)):
            return record
    raise ValueError(
        "--draw: no image has an object"
        if name is None
        else f"--image: no image is called {name!r}; there is {records[0].name!r}"
    )


def pixels_of(record: Record, image_size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8: an image as a network with inputs of ``image_size`` sees it."""
    image = torch.from_numpy(decode(record)).permute(2, 0, 1)
    return Fit(image_size).pixels(image)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """What the detector of a run sees in one image: ``pixels`` (3, H, W) uint8 as it gets them, the
    ``objects`` (g, 4) and what it ``found`` (n, 4) from a score of .3 on, best first, in these
    pixels; and ``heat``, maps (C, h, w) in [0, 1] by name. ``assigns``: it has anchors."""

    pixels: Tensor
    objects: Tensor
    found: Tensor
    heat: dict[str, Tensor]
    assigns: bool


@torch.no_grad()
def sight_of_run(folder: Path, record: Record) -> Sight | None:
    """What a run's detector sees in an image; None where it has no maps to show."""
    run = load_run(folder)
    size = run.result.image_size
    pixels = pixels_of(record, size)
    images = pixels[None].float() / 255
    heat = run.detector.eval().heat_maps(images)
    if not heat:
        return None
    objects = as_seen(pack([record]), size).targets(0, 1)
    found = run.detector.detect(images)
    return Sight(
        pixels=pixels,
        objects=objects.boxes[objects.real],
        found=found.boxes[found.scores >= SHOWN],
        heat={name: within(maps[0], size, run.detector.multiple) for name, maps in heat.items()},
        assigns=run.detector.rule is not None,
    )


def within(cells: Tensor, size: tuple[int, int], multiple: int) -> Tensor:
    """The cells (C, h, w) of a map that lie in an image of ``size`` (H, W), not in the padding that
    makes its sides multiples of ``multiple``."""
    rows, columns = (
        math.ceil(count * side / (side + -side % multiple))
        for count, side in zip(cells.shape[1:], size)
    )
    return cells[:, :rows, :columns]


def scene_of_detector(
    detector: str,
    anchors: str | None,
    image_size: tuple[int, int],
    records: Sequence[Record],
) -> Scene:
    """The published anchors of a detector, or other ones, without predictions."""
    setup = of_detector(detector, image_size, anchors)
    objects = as_seen(pack(records), image_size)
    return Scene(title=setup.title, grid=setup.grid, objects=objects, records=records)


def scene_of_run(folder: Path, records: Sequence[Record]) -> Scene:
    """The anchors and predictions of a run; ``ValueError`` where its detector has no anchors."""
    run = load_run(folder)
    size = run.result.image_size
    grid = run.detector.grid(size)
    if grid is None:
        raise ValueError(f"{folder}: {run.result.detector} has no anchors to assign")
    return Scene(
        title=f"the anchors and predictions of {folder}",
        grid=grid.detach(),
        objects=as_seen(pack(records), size),
        records=records,
        detector=run.detector,
    )
