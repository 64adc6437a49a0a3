"""Cells measured by the best of several shapes, against a dense brute force."""

import pytest
import torch

from kedge import Grid, Level, MaxIoU, Targets
from kedge.anchors.best_shape import BestShape
from kedge.boxes import iou

SHAPES = [(16.0, 16.0), (30.0, 12.0), (11.0, 27.0)]


def grids(offset=0.5):
    levels = [(8, 1.0), (16, 2.0)]
    many = [
        Level(stride=s, shapes=[(w * f, h * f) for w, h in SHAPES], offset=offset)
        for s, f in levels
    ]
    one = [Level(stride=s, shapes=[(4.0 * s, 4.0 * s)], offset=offset) for s, _ in levels]
    return Grid((48, 72), one), Grid((48, 72), many)


def scene(seed, count=6):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) * torch.tensor([60.0, 40.0])
    boxes = torch.cat([corner, corner + 3 + torch.rand(count, 2, generator=g) * 40], 1)
    rows = [{"boxes": part, "labels": torch.zeros(len(part)).long()} for part in boxes.split(4)]
    return Targets.from_list([rows[0], {"boxes": boxes[:0], "labels": torch.zeros(0)}, *rows[1:]])


def table(squares, many, targets):
    """(G, N) the largest IoU of a cell's shapes, for each object with its own image's cells."""
    dense = iou(targets.boxes[:, None], many.boxes()[None])
    return dense.view(len(targets), len(squares), len(SHAPES)).amax(2)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5])
def test_overlapping_and_best_are_those_of_all_pairs(seed, threshold):
    squares, many = grids(offset=0.5 * (seed % 2))
    cells, targets = BestShape(squares, many), scene(seed)
    dense = table(squares, many, targets)
    found = cells.overlapping(targets, threshold)
    target, cell = ((dense >= threshold) & (dense > 0)).nonzero(as_tuple=True)
    assert torch.equal(found.target, target)
    assert torch.equal(found.anchor, targets.image[target] * len(squares) + cell)
    assert torch.equal(found.iou(), dense[target, cell])
    best = cells.best(targets)
    target, cell = (dense == dense.amax(1, keepdim=True)).nonzero(as_tuple=True)
    assert torch.equal(best.anchor, targets.image[target] * len(squares) + cell)
    assert torch.equal(best.target, target)
    among = found.anchor.unique()
    again = cells.overlapping(targets, torch.full((len(among),), 0.4), among=among)
    want = found.select(found.iou() >= 0.4)
    if threshold < 0.4:
        assert torch.equal(again.anchor, want.anchor)
        assert torch.equal(again.iou(), want.iou())


def test_a_rule_over_iou_takes_it():
    """One cell of 16 px in the middle of a 16 x 16 image. Its square has IoU .25 with an object of
    8 x 8 there, and .5 with one of 16 x 8; the shapes sampled have 1 and 1."""
    squares = Grid((16, 16), [Level(stride=16, shapes=[(16.0, 16.0)])])
    many = Grid((16, 16), [Level(stride=16, shapes=[(8.0, 8.0), (16.0, 8.0)])])
    objects = [[4.0, 4, 12, 12]], [[0.0, 4, 16, 12]]
    targets = Targets.from_list([{"boxes": torch.tensor(boxes)} for boxes in objects])
    rule = MaxIoU(positive=0.9, negative=0.9, low_quality="none")
    assert len(rule(squares, targets)) == 0
    chosen = rule(BestShape(squares, many), targets)
    assert chosen.anchor.tolist() == [0, 1]
    assert chosen.anchors.boxes(chosen.anchor).tolist() == [[0, 0, 16, 16]] * 2  # the squares'


def test_cells_must_be_the_same():
    squares, many = grids()
    with pytest.raises(ValueError, match="same cells in both grids"):
        BestShape(Grid((48, 80), squares.levels), many)
    uneven = Grid((48, 72), [many.levels[0], squares.levels[1]])
    with pytest.raises(ValueError, match="equally many shapes"):
        BestShape(squares, uneven)
