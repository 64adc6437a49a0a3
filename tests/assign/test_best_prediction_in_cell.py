"""BestPredictionInCell: YOLOv1's rule on paper, and against darknet's loop."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import BestPredictionInCell


def grid(image_size=(64, 96), stride=32) -> Grid:
    """Two predictors in each of 2 x 3 cells: rows 0 to 5 are the first ones, 6 to 11 the others."""
    return Grid(image_size, [Level(stride=stride), Level(stride=stride)])


def said(boxes: Tensor) -> Predictions:
    return Predictions.from_tensors(torch.zeros(*boxes.shape[:2], 1), boxes)


def targets(*boxes) -> Targets:
    return Targets.from_list([{"boxes": torch.tensor(boxes).reshape(-1, 4)}])


def test_the_predictor_that_overlaps_most_answers():
    """Centre (48, 16): cell 1, rows 1 and 7. Row 7 covers half of the object, row 1 a quarter."""
    boxes = torch.zeros(1, 12, 4)
    boxes[0, 1] = torch.tensor([40.0, 8, 48, 16])
    boxes[0, 7] = torch.tensor([40.0, 8, 56, 16])
    boxes[0, 2] = torch.tensor([40.0, 8, 56, 24])  # fits perfectly, in another cell
    out = BestPredictionInCell()(grid(), targets([40.0, 8, 56, 24]), said(boxes))
    assert out.anchor.tolist() == [7]
    assert out.ignored.numel() == 0  # the perfect one is background


def test_where_nothing_overlaps_the_nearest_answers():
    """From (48, 16, 16, 16): row 1 is 30 px away, row 7 is 20 px away and 16 px off in both sides,
    sqrt(20^2 + 16^2 + 16^2) = 30.2."""
    boxes = torch.zeros(1, 12, 4)
    boxes[0, 1] = torch.tensor([70.0, 8, 86, 24])
    boxes[0, 7] = torch.tensor([68.0, 16, 68, 16])
    out = BestPredictionInCell()(grid(), targets([40.0, 8, 56, 24]), said(boxes))
    assert out.anchor.tolist() == [1]


def test_any_overlap_beats_any_nearness():
    boxes = torch.zeros(1, 12, 4)
    boxes[0, 1] = torch.tensor([57.0, 8, 73, 24])  # one pixel too far
    boxes[0, 7] = torch.tensor([0.0, 0, 96, 64])
    out = BestPredictionInCell()(grid(), targets([40.0, 8, 56, 24]), said(boxes))
    assert out.anchor.tolist() == [7]


def test_a_cell_answers_for_the_first_of_its_objects_alone():
    first, second = [40.0, 8, 56, 24], [36.0, 4, 60, 28]
    boxes = torch.tensor(second).expand(1, 12, 4)
    out = BestPredictionInCell()(grid(), targets(first, second, [0.0, 32, 20, 60]), said(boxes))
    assert list(zip(out.anchor.tolist(), out.target.tolist())) == [(1, 0), (3, 2)]


def test_boxes_that_are_no_numbers_lose():
    boxes = torch.full((1, 12, 4), torch.nan)
    boxes[0, 7] = torch.tensor([500.0, 500, 501, 501])
    out = BestPredictionInCell()(grid(), targets([40.0, 8, 56, 24]), said(boxes))
    assert out.anchor.tolist() == [7]


def test_it_needs_predictions():
    with pytest.raises(ValueError, match="BestPredictionInCell needs predictions"):
        BestPredictionInCell()(grid(), targets([0.0, 0, 9, 9]))


@pytest.mark.parametrize("seed", range(20))
def test_equals_darknets_loop(seed):
    random = torch.Generator().manual_seed(seed)
    scene = grid((96, 160), 16)
    cells = 60
    centre = torch.rand(25, 2, generator=random) * torch.tensor([160.0, 96.0])
    size = (torch.rand(25, 2, generator=random) * 4).exp()
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    middle = scene.points() + 30 * torch.rand(2 * cells, 2, generator=random) - 15
    side = (torch.rand(2 * cells, 2, generator=random) * 4).exp()
    predicted = torch.cat([middle - side / 2, middle + side / 2], 1)
    packed = Targets.from_list([{"boxes": boxes}])
    out = BestPredictionInCell()(scene, packed, said(predicted[None]))

    taken, expected = set(), {}
    for number, box in enumerate(boxes):
        x, y = ((box[:2] + box[2:]) / 2 / 16).floor().long().tolist()
        cell = y * 10 + x
        if cell in taken:
            continue
        taken.add(cell)
        best, best_iou, best_rmse = None, 0.0, torch.inf
        for row in (cell, cells + cell):
            overlap = float(box_iou(predicted[[row]], box[None]))
            shift = (predicted[row, :2] + predicted[row, 2:] - box[:2] - box[2:]) / 2
            growth = predicted[row, 2:] - predicted[row, :2] - box[2:] + box[:2]
            rmse = float(torch.cat([shift, growth]).norm())
            if best_iou > 0 or overlap > 0:
                if overlap > best_iou:
                    best, best_iou = row, overlap
            elif rmse < best_rmse:
                best, best_rmse = row, rmse
        expected[best] = number
    assert dict(zip(out.anchor.tolist(), out.target.tolist())) == expected


def test_empty():
    out = BestPredictionInCell()(grid(), targets(), said(torch.zeros(1, 12, 4)))
    assert (out.dense() == -1).all()
