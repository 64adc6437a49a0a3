"""ATSS: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import atss, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Free, Grid, Level, Targets
from kedge.assign import ATSS


def test_by_hand_five_candidates():
    # a row of five anchors of 10 x 10; the object is the middle one, its neighbours share nothing
    grid = Grid((10, 50), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[18.0, 0, 32, 10]])}])
    # IoU 0, 2*10/220, 100/140, 20/220, 0: mean .1792, unbiased std .3029, threshold .4821
    got = ATSS()(grid, targets)
    assert outcome(got) == ([(2, 0)], set())


def test_the_threshold_is_mean_plus_unbiased_standard_deviation():
    # CATALOGUE section 8: of .1, .2, .3, .4, .5 it is .458114 (the biased one would be .441421)
    target = torch.tensor([[0.0, 0, 100, 100]])
    wide = torch.tensor([10.0, 20, 30, 40, 45])  # anchors inside the object: IoU is their share
    anchors = torch.stack([50 - wide / 2, 0 * wide, 50 + wide / 2, 0 * wide + 100], 1)
    anchors = torch.cat([anchors, torch.tensor([[25.0, 0, 75, 100]])])  # .5
    targets = Targets.from_list([{"boxes": target}])
    of = [0, 1, 2, 3, 5]
    assert ATSS()(Free(anchors[of]), targets).anchor.tolist() == [4]  # .5 only
    # with .45 for .5 the threshold is .4321 (biased: .4170)
    assert ATSS()(Free(anchors[[0, 1, 2, 3, 4]]), targets).anchor.tolist() == [4]
    close = anchors.clone()
    close[3] = torch.tensor([27.5, 0, 72.5, 100])  # .1 .2 .3 .45 .5: threshold .4742, biased .4570
    assert ATSS()(Free(close[of]), targets).anchor.tolist() == [4]


def test_an_object_without_an_anchor_centre_gets_none():
    grid = Grid((20, 20), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[6.0, 6, 14, 14]])}])
    assert outcome(ATSS()(grid, targets)) == ([], set())


def test_a_single_candidate_is_kept_where_the_released_code_has_nan():
    grid = Grid((10, 10), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[1.0, 1, 9, 9]])}])
    assert outcome(ATSS()(grid, targets)) == ([(0, 0)], set())


def test_equal_candidates_all_reach_their_mean():
    # the object lies within all nine anchors: equal IoU, whose mean may round above them
    grid = Grid((30, 30), [Level(stride=10, shapes=[(70, 70)])])
    box = torch.tensor([[4.0, 4, 26, 26]])
    got = ATSS()(grid, Targets.from_list([{"boxes": box}]))
    assert sorted(got.anchor.tolist()) == list(range(9))


@settings(max_examples=60, deadline=None)
@given(scenes(), st.integers(1, 9))
def test_equals_the_dense_rule(scene, k):
    grid, targets = scene
    want, strict, loose = (
        per_image(targets, grid, lambda boxes, _, by=by: atss(grid, boxes, k, 0.01, by))[0]
        for by in (0, 1e-6, -1e-6)
    )
    got = outcome(ATSS(k=k)(grid, targets))[0]
    # a threshold that an IoU meets to the last bit may be rounded either way
    assert got == want or set(strict) <= set(got) <= set(loose)


@pytest.mark.parametrize("bad", [{"k": 0}, {"margin": -1}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="ATSS needs k >= 1"):
        ATSS(**bad)
