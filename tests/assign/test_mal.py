"""MAL: the number of anchors kept, which ones, and the depression of features."""

from dataclasses import replace

import pytest
import torch
from assign.dense import ids, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.free_anchor import FreeAnchor
from kedge.assign.mal import MAL
from kedge.nn.depression import depress, depression_ratio


def test_it_starts_as_free_anchor_and_ends_with_one_anchor_each():
    grid = points()
    targets, predictions = scene(grid, 0)
    assert ids(MAL()(grid, targets, predictions)) == ids(FreeAnchor()(grid, targets, predictions))
    last = MAL(progress=1.0)(grid, targets, predictions)
    assert torch.bincount(last.target).max() == 1
    assert last.weight.tolist() == [1.0] * len(last)


def test_by_hand():
    """Ten anchors in the bag, half-way: floor(10 * .5) + 1 = 6, those of largest p + .75 * IoU."""
    grid = Grid((8, 80), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 80, 8]], "labels": [0]}])
    boxes = targets.boxes.expand(1, 10, 4)
    logits = torch.arange(10.0)[None, :, None]
    mal = replace(MAL(), progress=0.5)
    found = mal(grid, targets, Predictions.from_tensors(logits, boxes))
    assert found.anchor.tolist() == [4, 5, 6, 7, 8, 9]
    assert found.weight.sum() == pytest.approx(1)


def test_depression_by_hand():
    """Values 1 to 4: at ratio .5 rank 2 holds the value 2, so 3 and 4 are depressed."""
    features = torch.tensor([[[[1.0, 2], [3, 4]]]])
    assert depress(features, 0.5).tolist() == [[[[1, 2], [0.75, 1]]]]
    assert depress(features, 0.5, keep=0.0).tolist() == [[[[1, 2], [0, 0]]]]
    assert torch.equal(depress(features, 0.0), features)


def test_depression_looks_at_each_image_alone_and_keeps_the_graph():
    rng = torch.Generator().manual_seed(0)
    features = torch.rand(3, 5, 4, 6, generator=rng, requires_grad=True)
    both = depress(features, 0.3)
    one = torch.cat([depress(features[i : i + 1], 0.3) for i in range(3)])
    torch.testing.assert_close(both, one)
    both.sum().backward()
    assert set(features.grad.unique().tolist()) == {0.25, 1.0}


def test_the_ratio_rises_and_falls():
    at = [depression_ratio(i / 12 + 0.01) for i in range(12)]
    assert at == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert depression_ratio(1.0) == 0
    assert depression_ratio(1.0, "linear") == depression_ratio(0.5, "triangle") == 0.5
    assert depression_ratio(0.2, "constant") == 0.5


def test_at_a_point_of_the_run():
    assert MAL(k=7).at(0.25) == MAL(k=7, progress=0.25)


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"match_iou": 1.0}, {"box_weight": -1.0}, {"progress": 1.5}):
        with pytest.raises(ValueError, match="MAL"):
            MAL(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="MAL needs predictions"):
        MAL()(points(), targets)
    with pytest.raises(ValueError, match="ratio"):
        depress(torch.zeros(1, 1, 2, 2), 2.0)
    with pytest.raises(ValueError, match="progress"):
        depression_ratio(2.0)
    with pytest.raises(ValueError, match="schedule"):
        depression_ratio(0.5, "x")
