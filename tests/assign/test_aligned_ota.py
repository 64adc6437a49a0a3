"""AlignedOTA: by hand, against the dense form as released, and its edge cases."""

import pytest
import torch
import torch.nn.functional as F
from assign.crowded import crowded
from assign.dense import dynamic_match, ids, images, inside, near_centre, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import AlignedOTA
from kedge.boxes import iou


def dense_aligned_ota(grid, targets, predictions, rule: AlignedOTA):
    """The released rule over (objects x candidate anchors): {(flat anchor, target): IoU}."""
    out = {}
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        within, centre = inside(grid, boxes), near_centre(grid, boxes, rule.radius)
        valid = (within | centre).any(0).nonzero()[:, 0]
        if len(valid) == 0:
            continue
        overlap = iou(boxes[:, None], predicted[None, valid])
        score = logits[valid].double().sigmoid()[None].expand(len(rows), -1, -1)
        wanted = F.one_hot(labels, logits.shape[1])[:, None] * overlap[..., None].double()
        classes = F.binary_cross_entropy(score, wanted, reduction="none")
        classes = (classes * (wanted - score).abs() ** 2).sum(-1)
        cost = rule.class_weight * classes - rule.iou_weight * (overlap + 1e-7).log()
        cost = cost + 1e5 * ~(within & centre)[:, valid]
        match = dynamic_match(cost, overlap, rule.k)
        for g, n in match.nonzero().tolist():
            out[image * len(grid) + int(valid[n]), int(rows[g])] = float(overlap[g, n])
    return out


@pytest.mark.parametrize("rule", [AlignedOTA(), AlignedOTA(k=3, radius=1.5)], ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_dense_form(rule, seed):
    grid = points()
    counts = (5, 0, 1, 9 + 12 * (seed % 2))  # crowded: many anchors are wanted several times
    targets, predictions = scene(grid, seed, counts, dtype=torch.float64, side=(8, 70))
    found = rule(grid, targets, predictions)
    expected = dense_aligned_ota(grid, targets, predictions, rule)
    assert ids(found) == sorted(expected)
    assert table(found, found.quality) == pytest.approx(expected, rel=1e-5)


def test_rare_cases_are_handled():
    for seed in range(12):
        grid, targets, predictions = crowded(seed)
        found = AlignedOTA()(grid, targets, predictions)
        assert len(found.anchor.unique()) == len(found)
        assert not bool(targets.ignore[found.target].any())


def test_by_hand():
    """Two cells, IoU .8 and .5, so k = 1. Costs at scores s: BCE(s, IoU) (s - IoU)^2 - 3 ln IoU.

    At s = .8 and .5 the class costs nothing: .669 and 2.079. Where the first says .01 it costs
    (.8 * 4.605 + .2 * .010) * .6241 = 2.301 more, and the second is cheaper.
    """
    grid = Grid((8, 16), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 16, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 12.8, 8], [8, 0, 16, 8]]])
    agree = Predictions.from_tensors(torch.logit(torch.tensor([[[0.8], [0.5]]])), boxes)
    assert ids(AlignedOTA()(grid, targets, agree)) == [(0, 0)]
    shy = Predictions.from_tensors(torch.logit(torch.tensor([[[0.01], [0.5]]])), boxes)
    found = AlignedOTA()(grid, targets, shy)
    assert ids(found) == [(1, 0)]
    assert found.quality.tolist() == [0.5]


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"radius": 0.0}, {"class_weight": -1.0}, {"iou_weight": -1.0}):
        with pytest.raises(ValueError, match="AlignedOTA needs k >= 1"):
            AlignedOTA(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="AlignedOTA needs predictions"):
        AlignedOTA()(points(), targets)
