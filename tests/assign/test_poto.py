"""POTO: by hand, against the dense form as released, and its edge cases."""

import numpy as np
import pytest
import torch
from assign.dense import ids, images, inside, near_centre, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import POTO
from kedge.assign.shared import matching
from kedge.boxes import iou

linear_sum_assignment = pytest.importorskip("scipy.optimize").linear_sum_assignment


def dense_poto(grid, targets, predictions, rule: POTO):
    """Objects x anchors: quality, -1 where an anchor is no candidate, and scipy's dense solver."""
    out = []
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        overlap = iou(boxes[:, None], predicted[None])
        quality = logits.sigmoid().T[labels] ** (1 - rule.alpha) * overlap**rule.alpha
        quality[~(inside(grid, boxes) & near_centre(grid, boxes, rule.radius))] = -1
        for g, n in zip(*linear_sum_assignment(quality.numpy(), maximize=True)):
            if quality[g, n] >= 0:
                out.append((image * len(grid) + int(n), int(rows[g])))
    return sorted(out)


@pytest.mark.parametrize("rule", [POTO(), POTO(alpha=0.5, radius=3.0)], ids=repr)
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_dense_form(rule, seed):
    grid = points()
    counts = (5, 0, 1, 9 + 15 * (seed % 2))  # crowded: candidates are wanted several times
    targets, predictions = scene(grid, seed, counts, dtype=torch.float64, side=(4, 70))
    assert ids(rule(grid, targets, predictions)) == dense_poto(grid, targets, predictions, rule)


def test_without_scipy_the_matching_is_as_good(monkeypatch):
    def absent(*_):
        raise ImportError

    grid = points()
    targets, predictions = scene(grid, 1, (5, 24), dtype=torch.float64, side=(4, 70))
    want = POTO()(grid, targets, predictions)
    monkeypatch.setattr(matching, "_scipy", absent)
    assert ids(POTO()(grid, targets, predictions)) == ids(want)


def row(qualities) -> tuple[Grid, Targets, Predictions]:
    """Two cells and two objects over both; ``qualities`` are the IoUs of cell and object."""
    grid = Grid((8, 16), [Level(stride=8)])
    boxes = [[0.0, 0, 16, 8], [0, 0.0, 16, 8.0]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 1]}])
    predicted = torch.tensor([[[0.0, 0, 16, 8], [0, 0, 16, 8]]])
    logits = torch.logit(torch.tensor([qualities]))
    return grid, targets, Predictions.from_tensors(logits, predicted)


def test_by_hand():
    """Both objects like the first cell: .9 + .1 is less than .6 + .8, so the second has to leave
    it."""
    grid, targets, predictions = row([[0.9, 0.8], [0.6, 0.1]])
    assert ids(POTO(alpha=0.0)(grid, targets, predictions)) == [(0, 1), (1, 0)]
    # .95 + .7 is more than .6 + .8
    grid, targets, predictions = row([[0.95, 0.8], [0.6, 0.7]])
    assert ids(POTO(alpha=0.0)(grid, targets, predictions)) == [(0, 0), (1, 1)]


def test_alpha_weighs_score_and_overlap():
    grid = Grid((8, 16), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 16, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 16, 8]]])  # IoU .5 and 1
    predictions = Predictions.from_tensors(torch.logit(torch.tensor([[[0.9], [0.1]]])), boxes)
    assert ids(POTO()(grid, targets, predictions)) == [(1, 0)]  # .98 * .574 < .631 * 1
    assert ids(POTO(alpha=0.2)(grid, targets, predictions)) == [(0, 0)]  # .92 * .87 > .158


def test_an_object_that_has_to_leave_its_only_candidate_is_matched_to_none():
    grid = Grid((8, 8), [Level(stride=8)])
    boxes = [[0.0, 0, 8, 8], [1.0, 1, 7, 7], [50.0, 50, 60, 60]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 0, 0]}])
    predictions = Predictions.from_tensors(torch.zeros(1, 1, 1), torch.tensor([[[1.0, 1, 7, 7]]]))
    assert ids(POTO()(grid, targets, predictions)) == [(0, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_the_heaviest_matching_is_that_of_a_dense_solver(seed):
    rng = torch.Generator().manual_seed(seed)
    weight = torch.rand(7, 5, generator=rng) * (torch.rand(7, 5, generator=rng) < 0.5)
    row, column = weight.nonzero(as_tuple=True)
    edges = weight[row, column]
    mate = matching.heaviest_matching(row, column, edges, 7)
    best = weight.numpy()[linear_sum_assignment(weight.numpy(), maximize=True)].sum()
    assert float(edges[mate].sum()) == pytest.approx(float(best))
    for ends in (row[mate], column[mate]):
        assert len(np.unique(ends.numpy())) == len(ends)


def test_refuses_what_makes_no_sense():
    for bad in ({"alpha": 1.5}, {"alpha": -0.1}, {"radius": 0.0}):
        with pytest.raises(ValueError, match="POTO needs alpha"):
            POTO(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="POTO needs predictions"):
        POTO()(points(), targets)
