"""OneToFew: by hand, against the dense form as released, and its edge cases."""

from dataclasses import replace

import pytest
import torch
from assign.dense import ids, images, inside, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import OneToFew
from kedge.boxes import iou


def dense_o2f(grid, targets, predictions, rule: OneToFew):
    """Objects x anchors: {(flat anchor, target): (weight, soft label)}."""
    out = {}
    t = rule.first + (rule.last - rule.first) * rule.progress
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        score = logits.sigmoid()
        if "centreness" in predictions.branches:
            score = score * predictions.branches["centreness"][image].sigmoid()[:, None]
        score = score.T[labels]
        quality = score ** (1 - rule.alpha) * iou(boxes[:, None], predicted[None]) ** rule.alpha
        quality = quality * inside(grid, boxes)
        few = quality.topk(rule.k, dim=1).indices
        claimed = torch.zeros_like(quality).scatter(1, few, quality.gather(1, few))
        value, owner = claimed.max(0)
        for g in range(len(rows)):
            mine = ((owner == g) & (value > 0)).nonzero()[:, 0]
            if len(mine) == 0:
                continue
            best = int(mine[value[mine].argmax()])
            others = [n for n in mine.tolist() if n != best]
            most = max((float(score[g, n]) for n in others), default=1.0)
            out[image * len(grid) + best, int(rows[g])] = (1.0, 1.0)
            for n in others:
                soft = t * float(score[g, n]) / most
                out[image * len(grid) + n, int(rows[g])] = (rule.weight, soft)
    return out


@pytest.mark.parametrize("rule", [OneToFew(), OneToFew(k=3, progress=0.5, alpha=0.5)], ids=repr)
@pytest.mark.parametrize("centreness", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form(rule, centreness, seed):
    grid = points()
    targets, predictions = scene(grid, seed, dtype=torch.float64, objectness=True)
    branch = {"centreness": predictions.objectness} if centreness else {}
    predictions = replace(predictions, branches=branch)
    found = rule(grid, targets, predictions)
    want = dense_o2f(grid, targets, predictions, rule)
    assert ids(found) == sorted(want)
    assert table(found, found.weight) == pytest.approx({key: v[0] for key, v in want.items()})
    assert table(found, found.quality) == pytest.approx({key: v[1] for key, v in want.items()})


def test_by_hand():
    """Three cells, IoU .5, 1 and .8, scores .8, .3 and .4: the second is best; of the others the
    first has the larger score, so its label is t and the third's half of it."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 24 * s, 8] for s in (0.5, 1.0, 0.8)]])
    scores = torch.tensor([[[0.8], [0.3], [0.4]]])
    predictions = Predictions.from_tensors(torch.logit(scores), boxes)
    # quality .8^.2 * .5^.8 = .549, .3^.2 = .786, .4^.2 * .8^.8 = .696
    found = OneToFew()(grid, targets, predictions)
    assert ids(found) == [(0, 0), (1, 0), (2, 0)]
    torch.testing.assert_close(found.weight, torch.tensor([0.4, 1.0, 0.4]))
    torch.testing.assert_close(found.quality, torch.tensor([0.6, 1.0, 0.3]))
    half = OneToFew().at(0.5)(grid, targets, predictions)  # t = .4
    torch.testing.assert_close(half.quality, torch.tensor([0.4, 1.0, 0.2]))
    end = OneToFew().at(1.0)(grid, targets, predictions)  # t = .2
    torch.testing.assert_close(end.quality, torch.tensor([0.2, 1.0, 0.1]))
    assert ids(OneToFew(k=2)(grid, targets, predictions)) == [(1, 0), (2, 0)]


def test_a_candidate_without_overlap_is_no_candidate():
    grid = Grid((8, 16), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 16, 8]], "labels": [0]}])
    boxes = torch.tensor([[[90.0, 0, 99, 8], [0, 0, 8, 8]]])
    predictions = Predictions.from_tensors(torch.zeros(1, 2, 1), boxes)
    assert ids(OneToFew()(grid, targets, predictions)) == [(1, 0)]
    far = Predictions.from_tensors(torch.zeros(1, 2, 1), boxes + 500)
    assert len(OneToFew()(grid, targets, far)) == 0


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"alpha": 2}, {"weight": -1}, {"first": 1.1}, {"progress": 2.0}):
        with pytest.raises(ValueError, match="OneToFew"):
            OneToFew(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="OneToFew needs predictions"):
        OneToFew()(points(), targets)
