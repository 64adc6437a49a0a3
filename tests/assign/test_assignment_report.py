"""report(assignment): what happened, in numbers a reader can check."""

import pytest
import torch

from kedge import Assignment, Free, Grid, Level, Targets
from kedge.assign import ATSS, FCOS, BestInCell, MaxIoU, YOLOv5, report

GRID = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)]), Level(stride=20, shapes=[(20, 20)])])


def pack(*boxes, crowd=()) -> Targets:
    is_crowd = torch.tensor([i in crowd for i in range(len(boxes))])
    return Targets.from_list([{"boxes": torch.tensor(boxes), "iscrowd": is_crowd}, {"boxes": []}])


def test_by_hand():
    targets = pack(
        [0.0, 0, 10, 10],  # is anchor 0
        [1.0, 0, 10, 10],  # its best anchor is 0 as well, which the first one keeps
        [0.0, 0, 20, 20],  # is the first anchor of the second level
        [500.0, 500, 510, 510],  # overlaps nothing
        [20.0, 10, 30, 20],  # a crowd over anchor 5
        crowd=(4,),
    )
    got = report(MaxIoU()(GRID, targets))
    assert (got.objects, got.crowds, got.images, got.anchors) == (4, 1, 2, 16)
    assert (got.positives, got.positive_anchors, got.shared) == (2, 2, 0)
    assert got.per_target.tolist() == [1, 0, 1, 0, -1]
    assert got.without.tolist() == [1, 3]
    assert got.untouched.tolist() == [3]
    assert got.lost.tolist() == [1]
    assert got.per_level.tolist() == [1, 1]
    assert got.per_shape.tolist() == [1, 1]
    text = str(got)
    assert "objects without an anchor  2 (50.0%): 1 overlap none, 1 lost their best" in text
    assert "10 x 10: 1, 20 x 20: 1" in text
    assert "mean 0.5, median 1, least 0, most 1" in text


def test_an_anchor_of_several_objects_is_shared():
    targets = pack([0.0, 0, 10, 10], [0.0, 0, 10, 10])
    got = report(YOLOv5(reach=0)(GRID, targets))
    assert (got.positives, got.positive_anchors, got.shared) == (4, 2, 2)


@pytest.mark.parametrize("assign", [MaxIoU(), ATSS(), FCOS(), BestInCell()], ids=repr)
def test_no_objects(assign):
    got = report(assign(GRID, Targets.from_list([{"boxes": []}])))
    assert got.objects == got.positives == len(got.without) == 0
    assert "none" in str(got)


def test_free_anchors_have_no_shapes():
    got = report(MaxIoU()(Free(GRID.boxes()), pack([0.0, 0, 10, 10])))
    assert got.per_shape is None
    assert got.per_level.tolist() == [1]
    assert "shape" not in str(got)


def test_an_assignment_that_does_not_know_its_anchors_says_so():
    none = torch.zeros(0, dtype=torch.int64)
    bare = Assignment(anchor=none, target=none, num_anchors=8, targets=pack([0.0, 0, 1, 1]))
    with pytest.raises(ValueError, match="does not know its anchors"):
        report(bare)
