"""FCOS: on paper, against the dense rule, and against torchvision."""

from types import SimpleNamespace

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import fcos, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection import fcos as peer

from kedge import Grid, Level, Targets
from kedge.assign import FCOS


def test_by_hand_two_objects_and_two_levels():
    # points at 5, 15, 25 (stride 10) and 10 (stride 20); ranges [0, 12] and [12, inf]
    grid = Grid((10, 30), [Level(stride=10), Level(stride=20, size=(1, 1))])
    assign = FCOS(ranges=[(0, 12), (12, torch.inf)])
    box = torch.tensor([[0.0, 0, 30, 20], [0, 0, 16, 10]])
    targets = Targets.from_list([{"boxes": box}])
    # object 0 is 15 px or more from some side everywhere, so it answers on the second level;
    # object 1: at x = 5 its farthest side is 11 px away, at x = 15 it is 15
    assert outcome(assign(grid, targets)) == ([(0, 1), (3, 0)], set())


def test_the_smaller_object_wins_a_point():
    grid = Grid((10, 10), [Level(stride=10)])
    box = torch.tensor([[0.0, 0, 10, 10], [2, 2, 8, 8], [2, 2, 8, 8]])
    assert FCOS()(grid, Targets.from_list([{"boxes": box}])).target.tolist() == [1]


def test_the_ends_of_the_ranges_are_in_unless_strict():
    grid = Grid((10, 30), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 30, 10]])}])
    # the farthest sides of the three points are 25, 15 and 25 px away
    for strict, want in ((False, [0, 1, 2]), (True, [])):
        got = FCOS(ranges=[(15, 25)], strict=strict)(grid, targets)
        assert got.anchor.tolist() == want
    assert FCOS(ranges=[(14, 25)], strict=True)(grid, targets).anchor.tolist() == [1]


def test_centre_sampling_takes_points_within_the_radius_of_the_centre():
    grid = Grid((10, 50), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 50, 10]])}])
    assert FCOS()(grid, targets).anchor.tolist() == [0, 1, 2, 3, 4]
    assert FCOS(centre_radius=1.5)(grid, targets).anchor.tolist() == [1, 2, 3]
    assert FCOS(centre_radius=1.0)(grid, targets).anchor.tolist() == [2]  # 10 px is not below 10


def test_the_default_ranges_are_the_papers_for_its_strides():
    grid = Grid((1024, 1024), [Level(stride=s) for s in (8, 16, 32, 64, 128)])
    want = [[0, 64], [64, 128], [128, 256], [256, 512], [512, torch.inf]]
    assert FCOS()._ranges(grid).tolist() == want


@settings(max_examples=60, deadline=None)
@given(scenes(), st.sampled_from([None, 0.5, 1.5]), st.booleans(), st.booleans())
def test_equals_the_dense_rule(scene, radius, strict, own):
    grid, targets = scene
    top = len(grid.levels) - 1
    ranges = None
    if own:
        ranges = [(10.0 * i, 10.0 * i + 25 if i < top else torch.inf) for i in range(top + 1)]
    assign = FCOS(ranges=ranges, centre_radius=radius, strict=strict)
    plain = assign._ranges(grid).tolist()
    want = per_image(targets, grid, lambda boxes, _: fcos(grid, boxes, plain, radius, strict))
    assert outcome(assign(grid, targets))[0] == want[0]


@pytest.mark.parametrize("seed", range(10))
def test_the_same_as_torchvision(seed):
    rng = torch.Generator().manual_seed(seed)
    strides = (8, 16, 32, 64, 128)
    levels = [
        Level(stride=s, offset=0.0, size=(max(256 // s, 1), max(384 // s, 1))) for s in strides
    ]
    grid = Grid((256, 384), levels)
    batch = []
    for count in (7, 0, 1):
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([384, 256])
        size = torch.rand(count, 2, generator=rng) ** 2 * 300 + 1
        batch.append({"boxes": torch.cat([corner - size / 2, corner + size / 2], 1)})
    model = SimpleNamespace(
        center_sampling_radius=1.5, head=SimpleNamespace(compute_loss=lambda *given: given[-1])
    )
    per_level = list(grid.anchors_per_level)
    want = peer.FCOS.compute_loss(model, batch, {}, [grid.boxes()] * 3, per_level)
    got = FCOS(centre_radius=1.5, strict=True)(grid, Targets.from_list(batch))
    assert torch.equal(got.dense(), torch.stack(want))


def test_areas_that_torchvision_cannot_tell_apart_are_told_apart():
    # near 1e8 single precision has steps of 8: 100 and 99 px^2 tie there, and the first wins
    grid = Grid((10, 10), [Level(stride=10)])
    box = torch.tensor([[0.0, 0, 10, 10], [0, 0, 9.9, 10]])
    assert FCOS()(grid, Targets.from_list([{"boxes": box}])).target.tolist() == [1]


@pytest.mark.parametrize("bad", [{"ranges": [(5, 3)]}, {"centre_radius": 0}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="FCOS"):
        FCOS(**bad)


def test_ranges_for_another_pyramid_are_refused():
    with pytest.raises(ValueError, match="ranges for 2 levels, the anchors have 1"):
        FCOS(ranges=[(0, 1), (1, 2)])(
            Grid((9, 9), [Level(stride=3)]), Targets.from_list([{"boxes": []}])
        )
