"""YOLOv3: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import outcome, per_image, yolov3
from hypothesis import given, settings

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import YOLOv3

PUBLISHED = Grid(
    (416, 608),
    [
        Level(stride=8, shapes=[(10, 13), (16, 30), (33, 23)]),
        Level(stride=16, shapes=[(30, 61), (62, 45), (59, 119)]),
        Level(stride=32, shapes=[(116, 90), (156, 198), (373, 326)]),
    ],
)


def test_by_hand_the_best_shape_of_nine():
    box = torch.tensor([[100.0, 50, 160, 90], [300, 100, 310, 114]])
    got = YOLOv3()(PUBLISHED, Targets.from_list([{"boxes": box}]))
    place = PUBLISHED.place(got.anchor)
    # 60 x 40 fits 62 x 45 best (2400 / 2790): level 1, shape 1; centre (130, 70) is cell 8, 4
    # 10 x 14 fits 10 x 13: level 0, shape 0; centre (305, 107) is cell 38, 13
    found = sorted(zip(*(part.tolist() for part in place)))
    assert found == [(0, 13, 38, 0), (1, 4, 8, 1)]


def test_siblings_are_those_of_all_levels():
    """With 60 x 40 the shapes of level 1 have IoU .396, .860 and .334; of level 0 only 33 x 23 has
    more than .3, .316 in its cell 16, 8; of level 2 none."""
    one = Targets.from_list([{"boxes": torch.tensor([[100.0, 50, 160, 90]])}])
    got = YOLOv3(siblings="positive", similar=0.3)(PUBLISHED, one)
    found = sorted(zip(*(part.tolist() for part in PUBLISHED.place(got.anchor))))
    assert found == [(0, 8, 16, 2), (1, 4, 8, 0), (1, 4, 8, 1), (1, 4, 8, 2)]
    assert len(YOLOv3(siblings="positive")(PUBLISHED, one)) == 1  # .4


def test_the_last_of_two_objects_in_a_slot_keeps_it():
    box = torch.tensor([[100.0, 50, 160, 90], [101, 51, 161, 91]])
    got = YOLOv3()(PUBLISHED, Targets.from_list([{"boxes": box}]))
    assert got.target.tolist() == [1]


def test_anchors_that_predict_some_object_well_are_ignored():
    grid = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)])])
    boxes = grid.boxes().clone()
    boxes[5] = boxes[0]
    boxes[4] = boxes[0] + torch.tensor([0.0, 0, -3, 0])  # IoU .7 is not above .7
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 10, 10]])}])
    predictions = Predictions.from_tensors(torch.zeros(1, 6, 2), boxes[None])
    assert outcome(YOLOv3()(grid, targets, predictions)) == ([(0, 0)], {5})
    assert outcome(YOLOv3()(grid, targets)) == ([(0, 0)], set())


@settings(max_examples=55, deadline=None)
@given(scenes(crowds=False))
def test_equals_the_dense_rule(scene):
    grid, targets = scene
    want = per_image(targets, grid, lambda boxes, _: yolov3(grid, boxes))
    assert outcome(YOLOv3()(grid, targets)) == want


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"ignore_above is an IoU in \[0, 1\]"):
        YOLOv3(ignore_above=2)
