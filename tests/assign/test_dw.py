"""Dual weighting by hand, and its edges; the dense form is in the loss's test."""

import math

import pytest
import torch
from assign.dense import ids, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.auto_assign import AutoAssign
from kedge.assign.dw import DW


def test_pairs_are_all_anchors_inside():
    grid = points()
    targets, predictions = scene(grid, 0, objectness=True)
    expected = AutoAssign()(grid, targets, predictions)
    assert ids(DW()(grid, targets, predictions)) == ids(expected)


def test_the_exponents_by_hand():
    """One cell at the centre, prediction exact, score .8: P = .8, weight e^4 .8 / (e^2.4 .8)."""
    grid = Grid((8, 8), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8]], "labels": [0]}])
    predictions = Predictions.from_tensors(
        torch.logit(torch.tensor([[[0.8]]])), torch.tensor([[[0.0, 0, 8, 8]]])
    )
    found = DW()(grid, targets, predictions)
    torch.testing.assert_close(found.weight, torch.tensor([math.exp(1.6)]))
    same = DW(norm_sharpness=5.0)(grid, targets, predictions)
    torch.testing.assert_close(same.weight, torch.ones(1))


def test_the_negative_weight_by_hand():
    """IoU .4, .6, .8: (1 - IoU^2) / .75 is 1.12, .8533, .48; from .48 to 1 that is 1, .7179, 0."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 24 * s, 8] for s in (0.4, 0.6, 0.8)]])
    found = DW()(grid, targets, Predictions.from_tensors(torch.zeros(1, 3, 1), boxes))
    expected = torch.tensor([1.0, (0.64 / 0.75 - 0.48) / 0.52, 0])
    torch.testing.assert_close(found.background_weight.weight, expected, atol=1e-5, rtol=0)


def test_no_confidence_and_no_anchor_stay_finite():
    grid = points(strides=(8, 16))
    targets = Targets.from_list(
        [{"boxes": [[15.0, 15, 17, 17], [0.0, 0, 40, 40]], "labels": [0, 0]}]
    )
    logits = torch.full((1, len(grid), 1), -300.0)
    found = DW()(grid, targets, Predictions.from_tensors(logits, grid.boxes()[None]))
    assert set(found.target.tolist()) == {1}
    assert torch.isfinite(found.weight).all()


def test_refuses_what_makes_no_sense():
    for bad in ({"sigma": 0.0}, {"box_weight": -1.0}, {"sharpness": -1.0}):
        with pytest.raises(ValueError, match="DW needs"):
            DW(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="DW needs predictions"):
        DW()(points(), targets)
