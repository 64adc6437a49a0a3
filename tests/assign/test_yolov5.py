"""YOLOv5: on paper, and against the dense rule."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import outcome, per_image, yolov5
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Free, Grid, Level, Targets
from kedge.assign import YOLOv5


def cells(grid: Grid, box: list[float], **options) -> list[tuple[int, int]]:
    got = YOLOv5(**options)(grid, Targets.from_list([{"boxes": torch.tensor([box])}]))
    place = grid.place(got.anchor)
    return sorted(zip(place.y.tolist(), place.x.tolist()))


def around(x: float, y: float) -> list[float]:
    return [x - 5, y - 5, x + 5, y + 5]


GRID = Grid((40, 50), [Level(stride=10, shapes=[(10, 10)])])


def test_by_hand_the_cell_and_two_neighbours():
    assert cells(GRID, around(23, 17)) == [(1, 1), (1, 2), (2, 2)]  # left of 25, below 15
    assert cells(GRID, around(27, 13)) == [(0, 2), (1, 2), (1, 3)]
    assert cells(GRID, around(25, 13)) == [(0, 2), (1, 2)]  # in the middle of its column
    assert cells(GRID, around(23, 17), reach=0) == [(1, 2)]


def test_neighbours_end_at_the_edge_of_the_map():
    assert cells(GRID, around(3, 3)) == [(0, 0)]
    assert cells(GRID, around(48, 38)) == [(3, 4)]
    assert cells(GRID, around(10, 15)) == [(1, 1)]  # on the very edge of a cell
    assert cells(GRID, around(55, 15)) == [(1, 4)]  # outside: the nearest cell


def test_shapes_within_a_factor_of_four():
    grid = Grid((40, 40), [Level(stride=40, shapes=[(10, 10), (39, 10), (40, 10), (10, 2.5)])])
    box = torch.tensor([[15.0, 15, 25, 25]])
    got = YOLOv5()(grid, Targets.from_list([{"boxes": box}]))
    assert got.anchor.tolist() == [0, 1]  # a factor of 4 is too much, either way


def test_catalogue_objects_against_the_stride_8_anchors():
    # CATALOGUE section 8: 10 x 13, 20 x 60 and 100 x 90 against 10 x 13, 16 x 30, 33 x 23
    grid = Grid((640, 640), [Level(stride=8, shapes=[(10, 13), (16, 30), (33, 23)])])
    box = torch.tensor([[100.0, 100, 110, 113], [200, 200, 220, 260], [300, 300, 400, 390]])
    got = YOLOv5(reach=0)(grid, Targets.from_list([{"boxes": box}]))
    # every object has a match, six in all: 2 per object
    assert got.target.bincount(minlength=3).tolist() == [3, 2, 1]


def test_an_anchor_of_two_objects_is_kept_for_both():
    box = torch.tensor([around(25, 15), around(25, 15)])
    got = YOLOv5()(GRID, Targets.from_list([{"boxes": box}]))
    assert outcome(got)[0] == [(7, 0), (7, 1)]
    assert int(got.dense()[0, 7]) == 0


@settings(max_examples=55, deadline=None)
@given(scenes(crowds=False), st.sampled_from([(4.0, 0.5), (2.0, 0.25)]))
def test_equals_the_dense_rule(scene, options):
    grid, targets = scene
    want = per_image(targets, grid, lambda boxes, _: yolov5(grid, boxes, *options))
    assert outcome(YOLOv5(max_ratio=options[0], reach=options[1])(grid, targets)) == want


def test_free_anchors_have_no_cells():
    with pytest.raises(ValueError, match="Boxes have no cells"):
        YOLOv5()(Free(GRID.boxes()), Targets.from_list([{"boxes": []}]))


@pytest.mark.parametrize("bad", [{"max_ratio": 1}, {"reach": 0.6}])
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="YOLOv5"):
        YOLOv5(**bad)
