"""AutoAssign's pairs and weights by hand, and its edges; the dense form is in the loss's test."""

import pytest
import torch
from assign.dense import ids, inside, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.auto_assign import AutoAssign


def test_pairs_are_all_anchors_inside_and_weights_sum_to_one():
    grid = points()
    targets, predictions = scene(grid, 0, objectness=True)
    found = AutoAssign()(grid, targets, predictions)
    mask = inside(grid, targets.boxes)
    expected = [(int(targets.image[g]) * len(grid) + n, g) for g, n in mask.nonzero().tolist()]
    assert ids(found) == sorted(expected)
    share = torch.zeros(len(targets)).index_add(0, found.target, found.weight)
    torch.testing.assert_close(share[mask.any(1)], torch.ones(int(mask.any(1).sum())))


def test_by_hand():
    """Three cells at -1, 0 and 1 strides, all alike: G is e^-.5, 1, e^-.5.

    Predicted IoU 0, .5 and .75: f is 1, 2 and 4, so background counts 1, 2/3 and 0.
    """
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [1]}])
    boxes = torch.tensor([[[90.0, 0, 99, 8], [0, 0, 12, 8], [0, 0, 18, 8]]])
    logits = torch.full((1, 3, 2), -30.0)  # no confidence: the prior decides
    found = AutoAssign()(grid, targets, Predictions.from_tensors(logits, boxes))
    side = 0.60653
    expected = torch.tensor([side, 1, side]) / (1 + 2 * side)
    torch.testing.assert_close(found.weight, expected, rtol=1e-4, atol=0)
    background = found.background_weight
    assert background.anchor.tolist() == [0, 1, 2]
    assert background.label.tolist() == [1, 1, 1]
    torch.testing.assert_close(background.weight, torch.tensor([1, 2 / 3, 0]))


def test_a_single_anchor_is_no_background():
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8]], "labels": [0]}])
    boxes = torch.tensor([0.0, 0, 6, 8]).expand(1, 3, 4)
    found = AutoAssign()(grid, targets, Predictions.from_tensors(torch.zeros(1, 3, 1), boxes))
    assert found.weight.tolist() == [1]
    assert found.background_weight.weight.tolist() == [0]


def test_deviation_the_iou_is_that_with_targets_around_the_anchor():
    """The first anchor predicts the neighbour exactly. MMDetection would call that IoU 1."""
    grid = Grid((8, 32), [Level(stride=8)])
    boxes = torch.tensor([[0.0, 0, 16, 8], [16.0, 0, 32, 8]])
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 1]}])
    predicted = torch.stack([boxes[1], boxes[0] * 0.5, boxes[1], boxes[1] * 0.75])[None]
    found = AutoAssign()(grid, targets, Predictions.from_tensors(torch.zeros(1, 4, 2), predicted))
    weight = dict(zip(found.background_weight.anchor.tolist(), found.background_weight.weight))
    assert weight[0] == 1  # IoU 0 with the object around it: wholly background
    assert weight[1] == 0


def test_force_k_serves_an_object_between_the_centres():
    grid = points(strides=(8, 16))
    targets = Targets.from_list(
        [{"boxes": [[15.0, 15, 17, 17], [0.0, 0, 40, 40]], "labels": [0, 0]}]
    )
    predictions = Predictions.from_tensors(torch.zeros(1, len(grid), 1), grid.boxes()[None])
    assert 0 not in AutoAssign()(grid, targets, predictions).target.tolist()
    found = AutoAssign(force_k=4)(grid, targets, predictions)
    # (8, 8) and (24, 8) ... of stride 16 and (12, 12) ... of stride 8 are half a stride away: ties
    assert (found.target == 0).sum() == 4


def test_the_prior_is_learned_per_class_and_saved():
    assign = AutoAssign(num_classes=3)
    assert set(assign.state_dict()) == {"mean", "sigma"}
    assert [p.shape for p in assign.parameters()] == [(3, 2), (3, 2)]
    assert not any(p.requires_grad for p in AutoAssign().parameters())
    assert "num_classes=3" in repr(assign)


def test_refuses_what_makes_no_sense():
    for bad in ({"num_classes": 0}, {"force_k": -1}, {"box_weight": -1.0}):
        with pytest.raises(ValueError, match="AutoAssign needs"):
            AutoAssign(**bad)
    targets, predictions = scene(points(), 0, classes=4)
    with pytest.raises(ValueError, match="AutoAssign needs predictions"):
        AutoAssign()(points(), targets)
    with pytest.raises(ValueError, match="priors for 2 classes"):
        AutoAssign(num_classes=2)(points(), targets, predictions)
