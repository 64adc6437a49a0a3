"""FreeAnchor's bags and background weights against their dense form, and by hand."""

import pytest
import torch
from assign.dense import boxes_grid, ids, images, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.anchors.queries.bags import most_overlapping
from kedge.assign.free_anchor import FreeAnchor
from kedge.boxes import iou


def dense_bags(grid, targets, predictions, k):
    out = []
    for image, rows, boxes, *_ in images(grid, targets, predictions):
        for g, box in zip(rows.tolist(), boxes):
            overlap = iou(grid.boxes(), box[None])
            order = overlap.argsort(descending=True, stable=True)[:k].tolist()
            out += [(image * len(grid) + i, g) for i in order if overlap[i] > 0]
    return sorted(out)


@pytest.mark.parametrize("k", [1, 9, 50, 1000])
@pytest.mark.parametrize("grid", [points(), boxes_grid()], ids=["points", "boxes"])
@pytest.mark.parametrize("seed", range(2))
def test_bags_are_the_anchors_of_largest_iou(k, grid, seed):
    grid = grid.with_shapes(grid.shapes.double())
    targets, predictions = scene(grid, seed, dtype=torch.float64)
    found = FreeAnchor(k=k)(grid, targets, predictions)
    assert ids(found) == dense_bags(grid, targets, predictions, k)
    share = torch.zeros(len(targets), dtype=torch.float64).index_add(0, found.target, found.weight)
    assert ((share - 1).abs() < 1e-9)[share > 0].all()


def test_equal_ious_take_the_lowest_anchor():
    grid = Grid((8, 80), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 80, 8]], "labels": [0]}])
    assert most_overlapping(grid, targets, 3).anchor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_background_weights_equal_the_dense_form(seed):
    grid = points()
    targets, predictions = scene(grid, seed, dtype=torch.float64)
    found = FreeAnchor()(grid, targets, predictions).background_weight
    weight = torch.ones(targets.batch_size * len(grid), predictions.num_classes).double()
    weight[found.anchor, found.label] = found.weight
    expected = torch.ones_like(weight).view(targets.batch_size, len(grid), -1)
    for image, _, boxes, labels, _, predicted in images(grid, targets, predictions):
        for box, label in zip(boxes, labels):
            overlap = iou(predicted, box[None])
            best = max(float(overlap.max()), 0.6 + 1e-12)
            chance = ((overlap - 0.6) / (best - 0.6)).clamp(0, 1)
            mine = expected[image, :, label]
            expected[image, :, label] = torch.minimum(mine, 1 - chance)
    torch.testing.assert_close(weight.view_as(expected), expected)


def test_background_weight_by_hand():
    """Predicted IoU .6, .8 and 1: match 0, .5 and 1, so background counts 1, .5 and 0."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 10, 8]], "labels": [1]}])
    boxes = torch.tensor([[[0.0, 0, width, 8] for width in (6, 8, 10)]])
    predictions = Predictions.from_tensors(torch.zeros(1, 3, 2), boxes)
    found = FreeAnchor()(grid, targets, predictions).background_weight
    weight = dict(zip(zip(found.anchor.tolist(), found.label.tolist()), found.weight.tolist()))
    assert weight.get((0, 1), 1.0) == pytest.approx(1)
    assert weight[1, 1] == pytest.approx(0.5, abs=1e-6)
    assert weight[2, 1] == 0
    assert all(label == 1 for _, label in weight)


def test_one_wild_prediction_changes_nothing_else():
    grid = points()
    targets, predictions = scene(grid, 0)
    boxes = predictions.codes.clone()
    boxes[:, 7] = torch.tensor([-1e6, -1e6, 1e6, 1e6])
    wild = FreeAnchor()(grid, targets, Predictions.from_tensors(predictions.logits, boxes))
    plain = FreeAnchor()(grid, targets, predictions)
    other = [row for row in ids(plain) if row[0] % len(grid) != 7]
    assert [row for row in ids(wild) if row[0] % len(grid) != 7] == other


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"match_iou": 0.0}, {"match_iou": 1.0}):
        with pytest.raises(ValueError, match="FreeAnchor needs"):
            FreeAnchor(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="FreeAnchor needs predictions"):
        FreeAnchor()(points(), targets)
