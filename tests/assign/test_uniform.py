"""Uniform: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import outcome, per_image, uniform
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import Uniform

ROW = Grid((10, 60), [Level(stride=10, shapes=[(10, 10)])])


def test_by_hand_the_two_nearest_anchors():
    targets = Targets.from_list([{"boxes": torch.tensor([[12.0, 0, 24, 10]])}])
    # centre 18, 12 wide: anchors at 15 and 25 are 3 + 2 and 7 + 2 away; IoU 8/14 and 4/18
    assert outcome(Uniform(k=2)(ROW, targets)) == ([(1, 0), (2, 0)], set())
    # at min_iou .3 the second is ignored
    assert outcome(Uniform(k=2, min_iou=0.3)(ROW, targets)) == ([(1, 0)], {2})


def test_predictions_choose_as_many_again():
    targets = Targets.from_list([{"boxes": torch.tensor([[10.0, 0, 20, 10]])}])
    predicted = ROW.boxes().clone()
    predicted[1] += 1000
    predicted[2] = torch.tensor([11.0, 0, 21, 10])  # IoU 9/11 > .7, nearest prediction
    predicted[4] = torch.tensor([9.0, 0, 20, 10])  # IoU 10/11
    predictions = Predictions.from_tensors(torch.zeros(1, 6, 1), predicted[None])
    got = Uniform(k=1, min_iou=0)(ROW, targets, predictions)
    # anchor 1 by its place; anchor 2 by its prediction (1 px; anchor 4: .5 + 1), which touches
    # nothing, so at min_iou 0 it is ignored; anchor 4 predicts well but was not chosen: ignored
    assert outcome(got) == ([(1, 0)], {2, 4})


def test_every_object_has_the_same_number_whatever_its_size():
    grid = Grid((320, 480), [Level(stride=32, shapes=[(s, s) for s in (32, 64, 128, 256, 512)])])
    box = torch.tensor([[40.0, 40, 70, 75], [200, 100, 460, 300]])
    got = Uniform(k=4, min_iou=0)(grid, Targets.from_list([{"boxes": box}]))
    assert got.target.bincount().tolist() == [4, 4]


@settings(max_examples=55, deadline=None)
@given(scenes(crowds=False), st.integers(1, 5), st.booleans(), st.integers(0, 2**31))
def test_equals_the_dense_rule(scene, k, with_predictions, seed):
    grid, targets = scene
    inside = targets.boxes.abs().amax(1) < 900  # far outside all distances tie in the last bit
    targets = Targets(
        boxes=targets.boxes[inside],
        labels=targets.labels[inside],
        image=targets.image[inside],
        batch_size=targets.batch_size,
    )
    rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(targets.batch_size, len(grid), 4, generator=rng) * 8 - 4
    boxes = grid.boxes() + noise
    boxes = torch.cat([boxes[..., :2], torch.maximum(boxes[..., :2], boxes[..., 2:])], -1)
    predictions, predicted = None, [None] * targets.batch_size
    if with_predictions:
        predictions = Predictions.from_tensors(torch.zeros(*boxes.shape[:2], 1), boxes)
        predicted = list(boxes)
    want = per_image(
        targets,
        grid,
        lambda own, image: uniform(grid.boxes(), own, k, 0.15, 0.7, predicted[image]),
    )
    got = Uniform(k=k)(grid, targets, predictions)
    near = _distances(grid, targets)
    # equal distances on a grid are broken by the last bit: the outcome may differ only among them
    if outcome(got) != want:
        assert near, (outcome(got), want)


def _distances(grid: Grid, targets: Targets) -> bool:
    """Whether some object has two anchors at almost the same L1 distance."""
    from assign.rules import xywh

    away = (xywh(grid.boxes().double())[:, None] - xywh(targets.boxes.double())).abs().sum(-1)
    gaps = away.sort(0).values.diff(dim=0)
    return bool((gaps < 1e-3).any())


@pytest.mark.parametrize("bad", [{"k": 0}, {"min_iou": -0.1}, {"ignore_above": 1.1}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="Uniform"):
        Uniform(**bad)
