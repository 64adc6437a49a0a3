"""NoisyAnchors: by hand, against the dense form, and where published formulas divide by zero."""

import pytest
import torch
from assign.dense import boxes_grid, ids, images, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.noisy_anchors import NoisyAnchors
from kedge.boxes import iou


def dense(grid, targets, predictions, rule):
    quality, weight = {}, {}
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        overlap = iou(boxes[:, None], grid.boxes()[None])
        chosen = set()
        for row in overlap:
            order = row.argsort(descending=True, stable=True)[: rule.k]
            chosen |= set(order[row[order] > 0].tolist())
        index = torch.tensor(sorted(chosen), dtype=torch.int64)
        if len(index) == 0:
            continue
        owner = overlap.argmax(0)[index]
        loc = iou(predicted[index], boxes[owner])
        cls = logits[index, labels[owner]].sigmoid()
        mixed = rule.alpha * loc / loc.mean() + (1 - rule.alpha) * cls / cls.mean()
        spread = (mixed.max() - mixed.min()).clamp(min=1e-6)
        clean = loc.mean() + (mixed - mixed.min()) * (1 - loc.mean()) / spread
        u, w = 1 / (1 - loc), 1 / (1 - cls)
        heavy = rule.alpha * u / u.mean() + (1 - rule.alpha) * w / w.mean()
        for i, g, c, r in zip(index.tolist(), owner.tolist(), clean.tolist(), heavy.tolist()):
            quality[image * len(grid) + i, int(rows[g])] = c
            weight[image * len(grid) + i, int(rows[g])] = r
    return quality, weight


@pytest.mark.parametrize("rule", [NoisyAnchors(), NoisyAnchors(k=4, alpha=0.3)], ids=repr)
@pytest.mark.parametrize("grid", [points(), boxes_grid()], ids=["points", "boxes"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form(rule, grid, seed):
    grid = grid.with_shapes(grid.shapes.double())
    targets, predictions = scene(grid, seed, dtype=torch.float64)
    found = rule(grid, targets, predictions)
    quality, weight = dense(grid, targets, predictions, rule)
    assert ids(found) == sorted(quality)
    assert table(found, found.quality) == pytest.approx(quality)
    assert table(found, found.weight) == pytest.approx(weight)


def one(boxes, scores):
    grid = Grid((8, 8 * len(scores)), [Level(stride=8)])
    width = 8.0 * len(scores)
    targets = Targets.from_list([{"boxes": [[0.0, 0, width, 8]], "labels": [0]}])
    logits = torch.logit(torch.tensor(scores))[None, :, None]
    return NoisyAnchors()(grid, targets, Predictions.from_tensors(logits, boxes[None]))


def test_by_hand():
    """loc .5 and .75 (mean .625), cls .5 and .5: mixed .85 and 1.15, so clean .625 and 1.

    Weights: 1 / (1 - loc) = 2 and 4, relative 2/3 and 4/3; cls relative 1: .75 and 1.25.
    """
    found = one(torch.tensor([[0.0, 0, 8, 8], [0, 0, 12, 8]]), [0.5, 0.5])
    torch.testing.assert_close(found.quality, torch.tensor([0.625, 1.0]))
    torch.testing.assert_close(found.weight, torch.tensor([0.75, 1.25]))


def test_equal_and_perfect_and_hopeless_predictions_stay_finite():
    perfect = one(torch.tensor([[0.0, 0, 16, 8]] * 2), [0.5, 0.5])
    assert perfect.quality.tolist() == [1, 1]
    assert torch.isfinite(perfect.weight).all()
    hopeless = one(torch.tensor([[90.0, 90, 99, 99]] * 2), [0.5, 0.5])
    assert hopeless.quality.tolist() == [0, 0]
    assert hopeless.weight.tolist() == [1, 1]
    single = one(torch.tensor([[0.0, 0, 4, 8]]), [0.5])
    assert single.quality.tolist() == [0.5]


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"alpha": 1.5}):
        with pytest.raises(ValueError, match="NoisyAnchors needs"):
            NoisyAnchors(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="NoisyAnchors needs predictions"):
        NoisyAnchors()(points(), targets)
