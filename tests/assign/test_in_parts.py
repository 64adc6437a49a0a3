"""Many objects are chosen for a part at a time: the same pairs as for all at once."""

import pytest
import torch

from kedge import Grid, Level, Targets
from kedge.anchors.pairs import Pairs
from kedge.assign.by_name import strategy
from kedge.assign.shared import in_parts as module
from kedge.assign.shared.in_parts import in_parts


def crowded_batch(seed: int) -> tuple[Grid, Targets]:
    """Three images, the middle one empty, of 23 objects and crowds."""
    rng = torch.Generator().manual_seed(seed)
    grid = Grid((90, 130), [Level(stride=s, shapes=[(4.0 * s, 4.0 * s)]) for s in (8, 16)])
    corner, side = torch.rand(23, 2, generator=rng) * 80, torch.rand(23, 2, generator=rng) * 50
    boxes = torch.cat([corner, corner + side], dim=1)
    crowd = (torch.rand(23, generator=rng) < 0.2).long()
    images = [(0, 11), (11, 11), (11, 23)]
    packed = [{"boxes": boxes[a:b], "iscrowd": crowd[a:b]} for a, b in images]
    return grid, Targets.from_list(packed)


@pytest.mark.parametrize("size", [1, 4, 22])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["fcos", "fcos:centre_radius=1.5", "atss", "atss:side=8"])
def test_the_pairs_of_parts_are_those_of_all(name, seed, size, by, monkeypatch):
    grid, targets = crowded_batch(seed)
    rule = strategy(name)
    whole = rule(grid, targets)
    monkeypatch.setattr(module, "PART", size)
    parts = rule(grid, targets)
    assert len(whole.anchor) > 0
    for column in ("anchor", "target", "ignored"):
        assert torch.equal(getattr(parts, column), getattr(whole, column)), column
    assert parts.targets is targets


def test_the_overlaps_of_parts_are_kept(monkeypatch):
    grid, targets = crowded_batch(0)
    monkeypatch.setattr(module, "PART", 5)
    sizes = []

    def near(part: Targets) -> Pairs:
        sizes.append(len(part))
        return grid.nearest(part, 4)

    got, want = in_parts(targets, near), grid.nearest(targets, 4)
    assert sizes == [5, 5, 5, 5, 3]
    assert torch.equal(got.iou(), want.iou())
    assert torch.equal(got.target, want.target)
