"""Where Guided Anchoring wants anchors, by hand; tests/parity compares with MMDetection."""

import pytest
import torch

from kedge import Grid, Level, Targets
from kedge.assign.guided_location import GuidedLocation

GRID = Grid((64, 96), [Level(stride=s, shapes=[(4.0 * s, 4.0 * s)]) for s in (8, 16, 32)])


def maps(targets, grid=GRID):
    """The cells of every level and image: 1 positive, 0 ignored, . background."""
    chosen = GuidedLocation()(grid, targets)
    out = ["."] * chosen.total
    for row in chosen.ignored.tolist():
        out[row] = "0"
    for row in chosen.anchor.tolist():
        out[row] = "1"
    levels, start = [], 0
    for height, width in grid.sizes:
        cells = "".join(out[start : start + height * width])
        levels.append([cells[i * width : (i + 1) * width] for i in range(height)])
        start += height * width
    return chosen, levels


def test_on_paper():
    """An object of 40 x 40 px: nearer in size to the squares of 32 px than to those of 64. In cells
    of 8 px it is (2, 1, 7, 6); a fifth of it about its middle is (4, 3, 5, 4), half of it (3.25,
    2.25, 5.75, 4.75), rounded to (3, 2, 6, 5). In cells of 16 px half of it is (2, 1, 3, 2)."""
    box = torch.tensor([[16.0, 8, 56, 48]])
    chosen, (fine, middle, coarse) = maps(Targets.from_list([{"boxes": box}]))
    assert fine == [
        "............",
        "............",
        "...0000.....",
        "...0110.....",
        "...0110.....",
        "...0000.....",
        "............",
        "............",
    ]
    assert middle == ["......", "..00..", "..00..", "......"]
    assert coarse == ["...", "..."]
    assert chosen.target.tolist() == [0] * 4


def test_a_later_object_overwrites_an_earlier_one():
    boxes = torch.tensor([[16.0, 8, 56, 48], [24.0, 8, 64, 48]])
    _, (fine, *_) = maps(Targets.from_list([{"boxes": boxes}]))
    assert fine[3] == "...00110...."
    _, (fine, *_) = maps(Targets.from_list([{"boxes": boxes.flip(0)}]))
    assert fine[3] == "...01100...."


def test_levels_by_size_and_objects_that_cannot_be_read_off_a_map():
    sides = torch.tensor([0.0, 1.0, 20.0, 45.0, 46.0, 90.0, 91.0, 1000.0])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], 1)
    targets = Targets.from_list([{"boxes": boxes}])
    assert GuidedLocation._level(GRID, targets).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    crowd = {"boxes": boxes[3:4], "labels": torch.zeros(1), "iscrowd": torch.ones(1)}
    chosen = GuidedLocation()(GRID, Targets.from_list([crowd, {"boxes": boxes[:0]}]))
    assert len(chosen) == 0
    assert len(chosen.ignored) > 0
    assert (chosen.ignored < len(GRID)).all()
    several = Grid((64, 96), [Level(stride=8, shapes=[(8.0, 8.0), (9.0, 9.0)])])
    with pytest.raises(ValueError, match="one shape a level"):
        GuidedLocation()(several, targets)
