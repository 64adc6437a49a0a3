"""SimOTA: by hand, against the dense form, and its edge cases."""

import math

import pytest
import torch
import torch.nn.functional as F
from assign.crowded import crowded
from assign.dense import dynamic_match, ids, images, inside, near_centre, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.anchors.queries.regions import inside_or_centre
from kedge.assign.shared import preferred
from kedge.assign.shared.candidates import cheapest, dynamic_k, with_overlapping
from kedge.assign.shared.contest import settle
from kedge.assign.sim_ota import SimOTA
from kedge.boxes import iou


def dense_sim_ota(grid, targets, predictions, rule: SimOTA):
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
        score = logits[valid].double().sigmoid()
        if predictions.objectness is not None:
            score = score * predictions.objectness[image][valid].double().sigmoid()[:, None]
        score = score.sqrt()
        onehot = F.one_hot(labels, logits.shape[1]).double()
        shape = (len(rows), len(valid), logits.shape[1])
        classes = F.binary_cross_entropy(
            score[None].expand(shape), onehot[:, None].expand(shape), reduction="none"
        ).sum(-1)
        good = (within & centre)[:, valid]
        cost = rule.class_weight * classes - rule.iou_weight * (overlap + 1e-7).log() + 1e5 * ~good
        if rule.candidates == "own":
            own = (within | centre)[:, valid]
            cost, overlap = cost.masked_fill(~own, math.inf), overlap * own
        match = dynamic_match(cost, overlap, rule.k)
        for g, n in match.nonzero().tolist():
            out[image * len(grid) + int(valid[n]), int(rows[g])] = float(overlap[g, n])
    return out


@pytest.mark.parametrize(
    "rule", [SimOTA(), SimOTA(candidates="own"), SimOTA(k=3, radius=1.5)], ids=repr
)
@pytest.mark.parametrize("objectness", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_dense_form(rule, objectness, seed):
    grid = points()
    counts = (5, 0, 1, 9 + 12 * (seed % 2))  # crowded: many anchors are wanted several times
    targets, predictions = scene(
        grid, seed, counts, objectness=objectness, dtype=torch.float64, side=(8, 70)
    )
    found = rule(grid, targets, predictions)
    expected = dense_sim_ota(grid, targets, predictions, rule)
    assert ids(found) == sorted(expected)
    assert table(found, found.quality) == pytest.approx(expected, rel=1e-5)


def test_a_contested_anchor_goes_to_the_cheapest_object_even_if_that_did_not_want_it():
    """IoU of the first cell's prediction .73, .73, .86; of the second's .71, .71, 1. So two objects
    want the first cell, the third the second; but the third is what the first cell fits best."""
    grid = Grid((8, 16), [Level(stride=8)])
    boxes = [[0.0, 0, 16, 6], [0.0, 2, 16, 8], [0.0, 1, 16, 7]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 0, 0]}])
    predicted = torch.tensor([[[0.0, 0.5, 16, 7.5], [0, 1, 16, 7]]])
    predictions = Predictions.from_tensors(torch.zeros(1, 2, 1), predicted)
    found = SimOTA(k=1)(grid, targets, predictions)
    assert sorted(ids(found)) == [(0, 2), (1, 2)]


def test_by_hand():
    """Three cells, IoU .8, .7 and .6: k = int(2.1) = 2, so the two cheapest at equal scores."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 24 * s, 8] for s in (0.7, 0.6, 0.8)]])
    predictions = Predictions.from_tensors(torch.zeros(1, 3, 2), boxes)
    found = SimOTA()(grid, targets, predictions)
    assert found.anchor.tolist() == [0, 2]
    torch.testing.assert_close(found.quality, torch.tensor([0.7, 0.8]))


def test_the_centre_beats_a_better_prediction_far_from_it():
    grid = Grid((8, 80), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 80, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 8, 8]]]).repeat(1, 10, 1)
    boxes[0, 0] = torch.tensor([0.0, 0, 72, 8])  # IoU .9 at the left end, five cells away
    predictions = Predictions.from_tensors(torch.zeros(1, 10, 1), boxes)
    (chosen,) = SimOTA()(grid, targets, predictions).anchor.tolist()
    assert chosen in (3, 4, 5, 6)


def test_a_pixel_and_an_object_outside_the_image():
    grid = points()
    targets = Targets.from_list(
        [{"boxes": [[15.0, 15, 16, 16], [500.0, 500, 520, 520]], "labels": [0, 0]}]
    )
    boxes = grid.boxes()[None]
    found = SimOTA()(grid, targets, Predictions.from_tensors(torch.zeros(1, len(grid), 1), boxes))
    assert found.target.tolist() == [
        0
    ]  # near the pixel's centre there are cells; the other has none


def test_deviation_an_anchor_that_touches_nothing_is_never_taken():
    """The pixel lies between the centres and nothing predicts it.

    The dense form gives it the anchor that the other object leaves over, at a cost above 1e5.
    """
    grid = Grid((64, 64), [Level(stride=32)])
    boxes = torch.tensor([[31.0, 31, 33, 33], [4.0, 4, 60, 28]])
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 1]}])
    logits = torch.tensor([[[-5.0, 5], [5, -5], [0, 0], [0, 0]]])
    far = torch.tensor([50.0, 50, 60, 60]).expand(1, 4, 4)
    predictions, rule = Predictions.from_tensors(logits, far), SimOTA(radius=0.25)
    assert sorted(dense_sim_ota(grid, targets, predictions, rule)) == [(0, 1), (1, 0)]
    assert ids(rule(grid, targets, predictions)) == [(0, 1)]


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"radius": 0.0}, {"iou_weight": -1.0}, {"candidates": "x"}):
        with pytest.raises(ValueError, match="SimOTA"):
            SimOTA(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="SimOTA needs predictions"):
        SimOTA()(points(), targets)


def everything_priced(rule: SimOTA, grid, targets, predictions):
    """The same rule over all candidates of all targets."""
    pairs, good = inside_or_centre(grid, targets, rule.radius)
    pairs, own = with_overlapping(pairs, predictions)
    good = torch.zeros_like(own).masked_scatter(own, good)
    overlap, cost = rule._price(predictions, pairs, good)
    wanted = dynamic_k(overlap, pairs.target, len(targets), rule.k)
    chosen = settle(pairs, cheapest(cost, pairs.target, wanted, rule.k), -cost)
    return pairs.select(chosen).assignment(quality=overlap[chosen])


@pytest.mark.parametrize("rule", [SimOTA(), SimOTA(k=3, radius=0.6)], ids=repr)
def test_what_is_left_unpriced_decides_nothing(rule, by, monkeypatch):
    rare = {"target without enough": 0, "anchor without a good one": 0}

    def joined(pairs, more, anchor, target, *marks):
        rare[list(rare)[len(marks) - 1]] += 1
        return join(pairs, more, anchor, target, *marks)

    join = preferred._joined
    monkeypatch.setattr(preferred, "_joined", joined)
    for seed in range(60):
        scene = crowded(seed)
        got, wanted = rule(*scene), everything_priced(rule, *scene)
        assert torch.equal(got.anchor, wanted.anchor)
        assert torch.equal(got.target, wanted.target)
        assert torch.equal(got.quality, wanted.quality)
    if by == "search":  # by a table everything is priced
        assert min(rare.values()) > 3, rare
