"""ATSS: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.dense import images, inside, points, scene
from assign.rules import atss, best_labels, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Free, Grid, Level, Predictions, Targets
from kedge.assign import ATSS
from kedge.boxes import iou


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


# -- alpha -----------------------------------------------------------------------------------------


def dense_alpha(grid, targets, predictions, rule: ATSS):
    """Objects x anchors: the threshold of every object from its candidates' alignment."""
    out = []
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        value = logits.sigmoid().T[labels] ** (1 - rule.alpha)
        value = value * iou(boxes[:, None], predicted[None]) ** rule.alpha
        centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        away = (grid.points().double() - centre).square().sum(-1)
        allowed = inside(grid, boxes)
        for g in range(len(rows)):
            levels = [(grid.level() == step).nonzero()[:, 0] for step in range(grid.num_levels)]
            near = [own[away[g, own].argsort(stable=True)[: rule.k]] for own in levels]
            candidates = torch.zeros_like(allowed[g])
            candidates[torch.cat(near)] = True
            chosen = value[g, candidates]
            allowed[g] &= candidates & (value[g] >= chosen.mean() + chosen.std())
        if len(rows):
            labels = best_labels(value.T, allowed.T)
            out += [(image * len(grid) + n, int(rows[g])) for n, g in enumerate(labels) if g >= 0]
    return sorted(out)


@pytest.mark.parametrize("alpha", [0.8, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_alpha_equals_the_dense_form(alpha, seed):
    grid = points()
    targets, predictions = scene(grid, seed, dtype=torch.float64, side=(8, 70))
    rule = ATSS(alpha=alpha, k=5, margin=0)
    got = outcome(rule(grid, targets, predictions))[0]
    assert got == dense_alpha(grid, targets, predictions, rule)


def test_alpha_by_hand():
    """Three cells inside one object, IoU 1, .25 and .25, equal scores of .25. At alpha .5 the
    alignments are .5, .25 and .25: mean .333, unbiased std .144, threshold .478."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 6, 8], [0, 0, 24, 8], [0, 0, 6, 8]]])
    quarter = torch.logit(torch.tensor(0.25)).expand(1, 3, 1)
    even = Predictions.from_tensors(quarter, boxes)
    assert outcome(ATSS(alpha=0.5)(grid, targets, even)) == ([(1, 0)], set())
    # where the third says .999, .5 and its .500 stand against .25: threshold .416 + .144
    sure = quarter.clone()
    sure[0, 2] = torch.logit(torch.tensor(0.9999))
    assert outcome(ATSS(alpha=0.5)(grid, targets, Predictions.from_tensors(sure, boxes)))[0] == []
    # at alpha 0 the scores alone decide
    assert outcome(ATSS(alpha=0)(grid, targets, Predictions.from_tensors(sure, boxes)))[0] == [
        (2, 0)
    ]


def test_alpha_needs_predictions_and_no_side():
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    with pytest.raises(ValueError, match="ATSS needs predictions"):
        ATSS(alpha=0.8)(Grid((8, 24), [Level(stride=8)]), targets)
    with pytest.raises(ValueError, match=r"ATSS\.alpha is in \[0, 1\]"):
        ATSS(alpha=1.2)
    with pytest.raises(ValueError, match="give one of them"):
        ATSS(alpha=0.8, side=8)


@pytest.mark.parametrize("bad", [{"k": 0}, {"margin": -1}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="ATSS needs k >= 1"):
        ATSS(**bad)
