"""BestInCell: on paper, against a dense form, and its ignore rule on predictions."""

import pytest
import torch
from torchvision.ops import box_iou

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import BestInCell

SHAPES = [(10.0, 10.0), (30.0, 60.0), (60.0, 30.0)]


def grid() -> Grid:
    """2 x 3 cells of 32 px: a picture that is not square."""
    return Grid((64, 96), [Level(stride=32, shapes=SHAPES)])


def targets(*boxes, crowd=None) -> Targets:
    rows = {"boxes": torch.tensor(boxes).reshape(-1, 4)}
    return Targets.from_list([rows | ({} if crowd is None else {"iscrowd": torch.tensor(crowd)})])


def test_on_paper():
    """Centre (25, 40): cell y 1, x 0; its 30 x 60 is shape 1: anchor (1 * 3 + 0) * 3 + 1."""
    out = BestInCell()(grid(), targets([10.0, 10, 40, 70]))
    assert out.anchor.tolist() == [10]
    assert out.dense()[0].tolist() == [-1] * 10 + [0] + [-1] * 7


def test_the_last_of_two_objects_gets_the_anchor():
    out = BestInCell()(grid(), targets([10.0, 10, 40, 70], [12.0, 12, 40, 70]))
    assert out.anchor.tolist() == [10]
    assert out.target.tolist() == [1]


def test_a_centre_outside_belongs_to_the_nearest_cell():
    out = BestInCell()(grid(), targets([90.0, 60, 130, 80]))
    assert grid().place(out.anchor).x.tolist() == [2]
    assert grid().place(out.anchor).y.tolist() == [1]


def test_predictions_that_overlap_are_ignored_not_background():
    """The anchors themselves as predictions: 30 x 60 and 60 x 30 on one centre have IoU 1 / 3."""
    scene = grid()
    predictions = Predictions.from_tensors(torch.zeros(1, len(scene), 2), scene.boxes()[None])
    wanted = targets([1.0, 18, 31, 78])
    assert BestInCell()(scene, wanted, predictions).ignored.numel() == 0
    out = BestInCell(ignore_above=0.32)(scene, wanted, predictions)
    assert out.anchor.tolist() == [10]
    assert out.ignored.tolist() == [11]


def test_siblings_on_paper():
    """An object of 30 x 40 in the cell of anchors 9 to 11: its shapes have IoU 100 / 1,200,
    1,200 / 1,800 and 900 / 2,100 with it. A second object wants the third of the same cell."""
    scene, one = grid(), [1.0, 28, 31, 68]
    ignoring = BestInCell(siblings="ignored", similar=0.4)
    out = ignoring(scene, targets(one))
    assert out.anchor.tolist() == [10]
    assert out.ignored.tolist() == [11]
    assert BestInCell(siblings="ignored", similar=0.5)(scene, targets(one)).ignored.numel() == 0
    answering = BestInCell(siblings="positive", similar=0.4)
    out = answering(scene, targets(one))
    assert (out.anchor.tolist(), out.target.tolist()) == ([10, 11], [0, 0])
    second = [0.0, 33, 60, 63]  # its own best is 11, and 10 has 1 / 3 only
    for rule, ignored in ((ignoring, []), (answering, [])):
        out = rule(scene, targets(one, second))
        assert (out.anchor.tolist(), out.target.tolist()) == ([10, 11], [0, 1])
        assert out.ignored.tolist() == ignored


def test_errors():
    with pytest.raises(ValueError, match="siblings is 'background'"):
        BestInCell(siblings="no")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="similar is an IoU"):
        BestInCell(similar=0)


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_dense_rule(seed):
    random = torch.Generator().manual_seed(seed)
    shapes = (torch.rand(5, 2, generator=random) * 4 + 1).exp()
    scene = Grid((96, 160), [Level(stride=16, shapes=shapes)])
    centre = torch.rand(12, 2, generator=random) * torch.tensor([160.0, 96.0])
    size = (torch.rand(12, 2, generator=random) * 4 + 1).exp()
    crowd = torch.rand(12, generator=random) < 0.2
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    predicted = scene.boxes() + torch.rand(len(scene), 4, generator=random)
    predictions = Predictions.from_tensors(torch.zeros(1, len(scene), 2), predicted[None])
    packed = Targets.from_list([{"boxes": boxes, "iscrowd": crowd}])
    out = BestInCell(ignore_above=0.5)(scene, packed, predictions).dense()[0]

    expected = torch.full((len(scene),), -1)
    expected[(box_iou(predicted, boxes[~crowd]) > 0.5).any(1)] = -2
    own, over = scene.boxes(), boxes[crowd]
    corner = torch.maximum(own[:, None, :2], over[None, :, :2])
    shared = (torch.minimum(own[:, None, 2:], over[None, :, 2:]) - corner).clamp(min=0).prod(-1)
    covered = shared / (own[:, 2:] - own[:, :2]).prod(1)[:, None] >= 0.5
    expected[covered.any(1)] = -2
    for i in (~crowd).nonzero()[:, 0].tolist():
        x, y = ((boxes[i, :2] + boxes[i, 2:]) / 2 / 16).floor().long().tolist()
        side = torch.cat([torch.zeros(1, 2), boxes[i, None, 2:] - boxes[i, None, :2]], 1)
        best = box_iou(torch.cat([torch.zeros(5, 2), shapes], 1), side)[:, 0].argmax()
        expected[(y * 10 + x) * 5 + best] = i
    assert torch.equal(out, expected)


def test_empty():
    assert (BestInCell()(grid(), targets()).dense() == -1).all()
