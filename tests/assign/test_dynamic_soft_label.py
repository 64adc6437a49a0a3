"""RTMDet's soft labels: by hand, against the dense form, and its edge cases."""

import math

import pytest
import torch
import torch.nn.functional as F
from assign.crowded import crowded
from assign.dense import dynamic_match, ids, images, inside, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.shared import affordable
from kedge.boxes import iou


def dense_dsl(grid, targets, predictions, rule: DynamicSoftLabel):
    """The released rule over (objects x anchors inside any object)."""
    out = {}
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        within = inside(grid, boxes)
        valid = within.any(0).nonzero()[:, 0] if len(rows) else rows
        if len(valid) == 0:
            continue
        overlap = iou(boxes[:, None], predicted[None, valid])
        away = grid.points()[valid][None] - ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
        prior = 10 ** (away.norm(dim=-1) / grid.stride()[valid, 0] - rule.soft_centre_radius)
        label = F.one_hot(labels, logits.shape[1])[:, None] * overlap[..., None]
        logit = logits[valid].to(overlap.dtype)[None].expand_as(label)
        soft = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
        soft = (soft * (label - logit.sigmoid()).abs() ** 2).sum(-1)
        cost = soft - rule.iou_weight * (overlap + 1e-7).log() + prior
        if rule.candidates == "own":
            own = within[:, valid]
            cost, overlap = cost.masked_fill(~own, math.inf), overlap * own
        match = dynamic_match(cost, overlap, rule.k)
        for g, n in match.nonzero().tolist():
            pair = image * len(grid) + int(valid[n]), int(rows[g])
            out[pair] = float(overlap[g, n])
    return out


@pytest.mark.parametrize(
    "rule",
    [DynamicSoftLabel(), DynamicSoftLabel(candidates="own"), DynamicSoftLabel(k=3)],
    ids=repr,
)
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_dense_form(rule, offset, seed):
    grid = points(offset=offset)
    counts = (5, 0, 1, 9 + 12 * (seed % 2))  # crowded: many anchors are wanted several times
    targets, predictions = scene(grid, seed, counts, dtype=torch.float64, side=(10, 70))
    found = rule(grid, targets, predictions)
    expected = dense_dsl(grid, targets, predictions, rule)
    assert ids(found) == sorted(expected)
    assert table(found, found.quality) == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """IoU 1, .5 and .5 at distances 1, 0 and 1 strides: k = 2.

    Costs at score .5: soft + -3 ln IoU + 10^(d - 3). IoU 1: .1733 + 0 + .01; IoU .5: 0 + 2.0794 +
    .001 for the middle and + .01 for the last.
    """
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 24, 8], [0, 0, 12, 8], [0, 0, 12, 8]]])
    predictions = Predictions.from_tensors(torch.zeros(1, 3, 1), boxes)
    found = DynamicSoftLabel()(grid, targets, predictions)
    assert found.anchor.tolist() == [0, 1]
    torch.testing.assert_close(found.quality, torch.tensor([1.0, 0.5]))


def test_nothing_inside_means_nothing_assigned():
    grid = points(strides=(8, 16))
    targets = Targets.from_list([{"boxes": [[15.0, 15, 17, 17]], "labels": [0]}])
    predictions = Predictions.from_tensors(torch.zeros(1, len(grid), 1), grid.boxes()[None])
    assert len(DynamicSoftLabel()(grid, targets, predictions)) == 0


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"iou_weight": -1.0}, {"candidates": "x"}):
        with pytest.raises(ValueError, match="DynamicSoftLabel"):
            DynamicSoftLabel(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="DynamicSoftLabel needs predictions"):
        DynamicSoftLabel()(points(), targets)


def test_an_anchor_of_infinite_cost_is_never_positive():
    """98.9 strides away the centre prior 10^95.9 is infinite in single precision."""
    grid = Grid((16, 1600), [Level(stride=16)])
    boxes = torch.tensor([[0.0, 0, 48, 16], [1590, 1, 1591, 2]])
    predicted = grid.boxes()
    predicted[0], predicted[1] = boxes[1], boxes[0]
    targets = Targets.from_list([{"boxes": boxes, "labels": torch.tensor([0, 0])}])
    given = Predictions.from_tensors(torch.zeros(1, len(grid), 2), predicted[None])
    assert ids(DynamicSoftLabel()(grid, targets, given)) == [(1, 0)]


@pytest.mark.parametrize("rule", [DynamicSoftLabel(), DynamicSoftLabel(k=3, iou_weight=0.5)])
def test_what_is_left_unpriced_decides_nothing(rule, by, monkeypatch):
    """However few the anchors, those that cannot matter are left out; the answer is that of all."""
    pruned = []
    enough = affordable._enough

    def spy(*given):
        kept, *bounds = enough(*given)
        pruned.append(int((~kept).sum()))
        return kept, *bounds

    monkeypatch.setattr(affordable, "_enough", spy)
    for seed in range(40):
        scene = crowded(seed)
        wanted = rule(*scene)
        with monkeypatch.context() as few:
            few.setattr(affordable, "MANY", 0)
            got = rule(*scene)
        assert torch.equal(got.anchor, wanted.anchor)
        assert torch.equal(got.target, wanted.target)
        assert torch.equal(got.quality, wanted.quality)
    if by == "search":
        assert sum(pruned) > 100
        assert sum(map(bool, pruned)) > 10
