"""Heat maps by hand: radii and what they promise, Gaussians, cells, crowds."""

import math

import pytest
import torch

from kedge import Targets
from kedge.assign.heatmaps import cell_of, gaussian_radius, heat_of, outside_crowds, points_of
from kedge.boxes import iou


def overlap(box, *moves):
    one, other = torch.tensor(box), torch.tensor(box) + torch.tensor(moves)
    return float(iou(one, other))


@pytest.mark.parametrize("t", [0.3, 0.5, 0.7, 0.9])
def test_within_the_radius_the_overlap_is_what_was_asked_for(t):
    """Whichever way the two corners move; and in one of the three ways no more than that."""
    box = [0.0, 0.0, 30.0, 20.0]
    r = float(gaussian_radius(torch.tensor([[30.0, 20.0]]).double(), t))
    found = [overlap(box, r, r, r, r), overlap(box, r, r, -r, -r), overlap(box, -r, -r, r, r)]
    assert min(found) == pytest.approx(t, abs=1e-5)


def test_radii_of_20_x_30_cells():
    sides = torch.tensor([[20.0, 30.0], [0.0, 0.0], [1.0, 1.0]])
    assert gaussian_radius(sides, 0.3).tolist() == pytest.approx([5.3411, 0, 0.2261], abs=1e-3)
    assert gaussian_radius(sides, 0.7).tolist() == pytest.approx([1.9525, 0, 0.0817], abs=1e-3)
    released = gaussian_radius(sides, 0.7, roots="released")
    assert released.tolist() == pytest.approx([6.5812, 0, 0.2733], abs=1e-3)
    assert float(gaussian_radius(sides, 0.3, roots="released")[0]) == pytest.approx(12.0, abs=1e-3)


def test_a_heat_map_on_paper():
    """Radius 1 has a deviation of 1/2: e^-2 beside the point, e^-4 across a corner. Two points of
    one class share a map, the larger counting; the last is of another image and class."""
    cell = torch.tensor([[0, 0], [2, 0], [3, 2]])
    heat = heat_of(
        (2, 2, 3, 4),
        torch.tensor([0, 0, 1]),
        torch.tensor([1, 1, 0]),
        cell,
        torch.tensor([1, 1, 0]),
    )
    near, far = math.exp(-2), math.exp(-4)
    wanted = [[1, near, 1, near], [near, far, near, far], [0, 0, 0, 0]]
    assert torch.allclose(heat[0, 1], torch.tensor(wanted))
    assert heat[1, 0].nonzero().tolist() == [[2, 3]]
    assert not heat[0, 0].any()
    assert not heat[1, 1].any()
    assert float(heat.amax()) == 1.0


def test_values_too_small_to_count_are_0():
    heat = heat_of((1, 1, 21, 21), *[torch.zeros(1).long()] * 2, torch.tensor([[10, 10]]),
                   torch.tensor([9]))  # fmt: skip
    sigma = 19 / 6
    assert float(heat[0, 0, 10, 19]) == pytest.approx(math.exp(-81 / (2 * sigma**2)), rel=1e-4)
    assert float(heat[0, 0, 10, 20]) == 0  # beyond the radius


def test_points_on_the_far_edge_lie_in_the_last_cell():
    cell, rest = cell_of(torch.tensor([[0.0, 7.9], [13.0, 3.0], [96.0, 64.0]]), 8.0, (8, 12))
    assert cell.tolist() == [[0, 0], [1, 0], [11, 7]]
    assert rest.tolist() == [[0, pytest.approx(0.9875)], [0.625, 0.375], [1, 1]]


def test_crowds_are_no_points_and_close_what_they_cover():
    boxes = torch.tensor([[8.0, 0, 24, 16], [0.0, 0, 16, 8]])
    crowded = {"boxes": boxes, "labels": torch.tensor([0, 1]), "iscrowd": torch.tensor([1, 0])}
    targets = Targets.from_list([{"boxes": boxes[:0]}, crowded])
    open_ = outside_crowds(targets, 8.0, (2, 4))
    assert open_[0].all()
    assert open_[1, 0].tolist() == [[True, False, False, True]] * 2
    corner = targets.boxes[targets.real][:, 2:]
    found = points_of(corner, torch.tensor([0]), targets, (2, 2, 2, 4), 8.0)
    assert found.image.tolist() == [1]
    assert found.heat.nonzero().tolist() == [[1, 1, 1, 2]]
    one = points_of(corner, torch.tensor([0]), targets, (2, 1, 2, 4), 8.0)
    assert one.heat.nonzero().tolist() == [[1, 0, 1, 2]]  # of any class
    maps = torch.arange(32.0).view(2, 2, 2, 4)
    assert found.read(maps).tolist() == [[22, 30]]
