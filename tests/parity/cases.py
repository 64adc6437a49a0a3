"""Scenes for the comparison with other libraries, and the comparison itself.

The adaptors are those of ``benchmarks/peers.py``. Random scenes have no ties: nobody promises
which of two equal anchors comes first.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from kedge import Grid, Level, Predictions, Targets

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import peers
import peers_mmdetection as mm  # noqa: F401  the tests take it from here

CLASSES = 5
COUNTS = (6, 0, 1, 14, 40)  # objects per image


def needs(peer: str) -> pytest.MarkDecorator:
    """Skips a file of tests where the peer is absent."""
    return pytest.mark.skipif(
        not peers.available(peer), reason=f"{peer} is not installed: see `make parity`"
    )


def points(image_size: tuple[int, int] = (288, 416), levels: int = 5) -> Grid:
    """Anchor points, by default of FCOS' five levels, over an image that is not square."""
    return Grid(image_size, [Level(stride=8 * 2**i) for i in range(levels)])


def boxes(image_size: tuple[int, int] = (160, 224)) -> Grid:
    """Three shapes on each of three levels, at sizes that no two measures tie on."""
    shapes = [(16.0, 16.0), (23.3, 10.1), (11.7, 27.2)]
    return Grid(
        image_size,
        [
            Level(stride=8 * 2**i, shapes=[(w * 2**i, h * 2**i) for w, h in shapes])
            for i in range(3)
        ],
    )


def squares(image_size: tuple[int, int] = (192, 256)) -> Grid:
    """One square of eight strides per cell (ATSS, TOOD)."""
    return Grid(image_size, [Level(stride=8 * 2**i, shapes=[(64.0 * 2**i,) * 2]) for i in range(4)])


def _objects(
    count: int, image_size: tuple[int, int], side: tuple[float, float], rng: torch.Generator
) -> Tensor:
    """(count, 4) log-uniform sides, centres anywhere in the image; the first is one pixel wide."""
    height, width = image_size
    size = side[0] * (side[1] / side[0]) ** torch.rand(count, 2, generator=rng)
    if count > 4 and side[0] <= 1:
        size[0] = 1.0
    centre = torch.rand(count, 2, generator=rng) * torch.tensor([width, height])
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def _near(grid: Grid, found: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """(N, 4) predictions: the anchor shaken, or (a share of them) some object shaken."""
    anchors = grid.boxes()
    out = anchors + 4 * torch.rand(len(anchors), 4, generator=rng) - 2
    if len(found):
        chosen = found[torch.randint(len(found), (len(anchors),), generator=rng)]
        shake = 0.15 * (chosen[:, 2:] - chosen[:, :2]).repeat(1, 2)
        other = chosen + shake * (2 * torch.rand(len(anchors), 4, generator=rng) - 1)
        out = torch.where(torch.rand(len(anchors), 1, generator=rng) < share, other, out)
    return torch.cat([out[:, :2], torch.maximum(out[:, :2] + 0.5, out[:, 2:])], 1)


def scene(
    grid: Grid,
    seed: int,
    counts: tuple[int, ...] = COUNTS,
    side: tuple[float, float] = (1.0, 120.0),
    share: float = 0.3,
) -> tuple[Targets, Predictions]:
    """Objects and predictions of a batch."""
    rng = torch.Generator().manual_seed(seed)
    found = [_objects(count, grid.image_size, side, rng) for count in counts]
    labels = [torch.randint(CLASSES, (count,), generator=rng) for count in counts]
    targets = Targets.from_list([{"boxes": b, "labels": n} for b, n in zip(found, labels)])
    predicted = torch.stack([_near(grid, b, share, rng) for b in found])
    logits = 3 * torch.randn(len(counts), len(grid), CLASSES, generator=rng) - 2
    return targets, Predictions.from_tensors(logits, predicted)


class Case(NamedTuple):
    """One image: what it holds, and what both make of it."""

    name: str
    boxes: Tensor
    labels: Tensor
    logits: Tensor
    predicted: Tensor
    ours: Tensor
    theirs: Tensor

    @property
    def same(self) -> bool:
        """Whether all anchors agree."""
        return torch.equal(self.ours, self.theirs)


def images(targets: Targets, predictions: Predictions) -> Iterator[tuple]:
    """Objects, labels, logits and predicted boxes of every image."""
    for image in range(targets.batch_size):
        rows = targets.image == image
        yield (
            targets.boxes[rows],
            targets.labels[rows],
            predictions.logits[image],
            predictions.codes[image],
        )


def cases(key: tuple[str, str], grid: Grid, seeds: int = 40, own=None, **options) -> Iterator[Case]:
    """Every image of the scenes, by the peer and by Kedge's rule with the same settings."""
    own = peers.COUNTERPARTS[key] if own is None else own
    for seed in range(seeds):
        targets, predictions = scene(grid, seed, **options)
        ours = own(grid, targets, predictions).dense()
        for number, image in enumerate(images(targets, predictions)):
            theirs = peers.PEERS[key](grid, grid.boxes(), *image)
            name = f"{key}, seed {seed}, image {number}"
            yield Case(name, *image, ours[number], theirs.long())


def assert_same(key: tuple[str, str], grid: Grid, seeds: int = 40, own=None, **options) -> None:
    """Every anchor of every image agrees."""
    for case in cases(key, grid, seeds, own, **options):
        where = (case.ours != case.theirs).nonzero()[:, 0]
        found = f"ours {case.ours[where].tolist()}, theirs {case.theirs[where].tolist()}"
        assert case.same, f"{case.name}: anchors {where.tolist()}, {found}"
