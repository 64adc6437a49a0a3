"""SoftCell: shares that sum to 1, and the hard rule as the temperature falls."""

import pytest
import torch

from kedge import Grid, Level, Targets
from kedge.assign import SoftCell


@pytest.fixture
def scene():
    random = torch.Generator().manual_seed(3)
    shapes = (torch.rand(5, 2, generator=random) * 3 + 2).exp()
    grid = Grid((96, 160), [Level(stride=16, shapes=shapes)])
    centre = torch.rand(20, 2, generator=random) * torch.tensor([160.0, 96.0])
    size = (torch.rand(20, 2, generator=random) * 3 + 2).exp()
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    return grid, Targets.from_list([{"boxes": boxes[:12]}, {"boxes": boxes[12:]}])


@pytest.mark.parametrize("temperature", [0.5, 2.0, 50.0])
def test_shares_are_the_softmax_of_squared_log_distances(scene, temperature):
    grid, targets = scene
    out = SoftCell(temperature=temperature, negligible=0.0)(grid, targets)
    assert len(out) == 5 * 20
    size = targets.boxes[:, 2:] - targets.boxes[:, :2]
    distance = (grid.shapes.log()[None] - size.log()[:, None]).square().sum(-1)
    expected = (-distance / temperature).softmax(1)
    for pair in range(len(out)):
        shape = grid.place(grid.local(out.anchor[pair : pair + 1])).shape
        assert out.weight[pair] == pytest.approx(float(expected[out.target[pair], shape]), abs=1e-5)


def test_near_zero_only_the_nearest_shape_is_left(scene):
    grid, targets = scene
    out = SoftCell(temperature=1e-4)(grid, targets)
    size = targets.boxes[:, 2:] - targets.boxes[:, :2]
    distance = (grid.shapes.log()[None] - size.log()[:, None]).square().sum(-1)
    assert torch.equal(grid.place(grid.local(out.anchor)).shape, distance.argmin(1)[out.target])
    assert torch.allclose(out.weight, torch.ones(20))


def test_a_temperature_of_zero_is_an_error():
    with pytest.raises(ValueError, match="at 0 use BestInCell"):
        SoftCell(temperature=0.0)
