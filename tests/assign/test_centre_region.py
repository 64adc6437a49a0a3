"""CentreRegion: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import centre_region, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Grid, Level, Targets
from kedge.assign import CentreRegion


def test_by_hand_middle_ring_and_outside():
    # points at 5, 15, ..., 95; of the object 0 to 100, 40 to 60 is a fifth and 25 to 75 half
    grid = Grid((10, 100), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 100, 10]])}])
    got = CentreRegion()(grid, targets)
    assert outcome(got) == ([(4, 0), (5, 0)], {3, 6})  # 25 and 75 are on the edge
    assert got.dense()[0].tolist() == [-1, -1, -1, -2, 0, 0, -2, -1, -1, -1]


def test_the_smaller_object_wins_and_positives_are_not_ignored():
    grid = Grid((10, 100), [Level(stride=10)])
    box = torch.tensor([[0.0, 0, 100, 10], [30, 0, 60, 10], [60, 0, 80, 10]])
    got = CentreRegion(positive=0.4, ignored=0.6)(grid, Targets.from_list([{"boxes": box}]))
    # middles: 30 to 70, 39 to 51, 66 to 74; rings: 20 to 80, 36 to 54, 64 to 76
    assert outcome(got) == ([(3, 0), (4, 1), (5, 0), (6, 0)], {2, 7})


def test_objects_answer_on_the_levels_of_their_size():
    grid = Grid((40, 40), [Level(stride=10), Level(stride=20)])
    box = torch.tensor([[0.0, 0, 40, 40], [0, 0, 10, 10]])
    targets = Targets.from_list([{"boxes": box}])
    ranges = [(0, 20), (20, 80)]
    got = CentreRegion(positive=1.0, ignored=1.0, ranges=ranges)(grid, targets)
    assert outcome(got) == ([(0, 1), (16, 0), (17, 0), (18, 0), (19, 0)], set())


@settings(max_examples=55, deadline=None)
@given(scenes(crowds=False), st.sampled_from([(0.2, 0.5), (0.4, 0.4), (1.0, 1.3)]), st.booleans())
def test_equals_the_dense_rule(scene, shares, own):
    grid, targets = scene
    top = len(grid.levels) - 1
    ranges = (
        [(20.0 * i, 20.0 * i + 30 if i < top else 1e9) for i in range(top + 1)] if own else None
    )
    want = per_image(targets, grid, lambda boxes, _: centre_region(grid, boxes, *shares, ranges))
    got = CentreRegion(positive=shares[0], ignored=shares[1], ranges=ranges)(grid, targets)
    assert outcome(got) == want


@pytest.mark.parametrize("bad", [{"positive": 0.6}, {"positive": 0}, {"ranges": [(2, 1)]}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="CentreRegion"):
        CentreRegion(**bad)


def test_ranges_for_another_pyramid_are_refused():
    grid = Grid((9, 9), [Level(stride=3)])
    with pytest.raises(ValueError, match="ranges for 2 levels, the anchors have 1"):
        CentreRegion(ranges=[(0, 1), (1, 2)])(grid, Targets.from_list([{"boxes": []}]))
