"""Task-aligned assignment: by hand, against the dense form, and its edge cases."""

import pytest
import torch
from assign.dense import ids, images, inside, points, scene, table

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.tal import TAL
from kedge.boxes import ciou, iou


def logit(p):
    return torch.logit(torch.as_tensor(p))


def dense_tal(grid, targets, predictions, rule: TAL):
    """TOOD's rule over (objects x anchors), one image at a time: {(flat anchor, target): t-hat}."""
    out = {}
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=rule.min_side)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        mask = inside(grid, torch.cat([centre - size / 2, centre + size / 2], 1))
        measure = ciou if rule.overlap == "ciou" else iou
        u = measure(predicted[None], boxes[:, None]).clamp(min=0)
        t = logits.sigmoid().T[labels] ** rule.alpha * u**rule.beta * (u > 0)
        if rule.among == "inside":
            t = t * mask
        best = t.topk(min(rule.k, t.shape[1]), dim=1).indices
        positive = torch.zeros_like(mask).scatter(1, best, True) & (t > 0) & mask
        multiple, u = positive.sum(0) > 1, u * mask
        rivals = u if rule.contest == "candidates" else torch.where(positive, u, -1.0)
        winner = torch.zeros_like(mask).scatter(0, rivals.argmax(0)[None], True)
        positive = torch.where(multiple[None], winner, positive)
        if rule.keep is not None:
            few = (t * positive).topk(rule.keep, dim=1).indices
            positive &= torch.zeros_like(mask).scatter(1, few, True)
        t, u = t * positive, u * positive
        soft = t / t.amax(1, keepdim=True).clamp(min=1e-30) * u.amax(1, keepdim=True)
        for g, n in positive.nonzero().tolist():
            out[image * len(grid) + n, int(rows[g])] = float(soft[g, n])
    return out


@pytest.mark.parametrize(
    "rule",
    [
        TAL(),
        TAL(k=3),
        TAL(among="inside"),
        TAL.ultralytics(),
        TAL(contest="candidates", k=4, min_side=20),
        TAL(overlap="ciou", alpha=0.5, beta=2),
        TAL(beta=0),
        TAL(keep=1),
        TAL(keep=3, among="inside"),
        TAL.one_to_one(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_dense_form(rule, seed):
    grid = points()
    targets, predictions = scene(grid, seed, near=0.1 + 0.15 * seed)
    found = rule(grid, targets, predictions)
    expected = dense_tal(grid, targets, predictions, rule)
    assert ids(found) == sorted(expected)
    quality = table(found, found.quality)
    assert quality == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """Two cells. t = s * u^6: .5 * .8^6 = .131072 and .9 * .5^6 = .0140625; t-hat is t / .131072 *
    .8.
    """
    grid = Grid((8, 16), [Level(stride=8)])  # centres (4, 4) and (12, 4)
    targets = Targets.from_list([{"boxes": [[0.0, 0, 16, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 12.8, 8], [8, 0, 16, 8]]])  # IoU .8 and .5
    predictions = Predictions.from_tensors(logit([[[0.5], [0.9]]]), boxes)
    found = TAL()(grid, targets, predictions)
    assert found.anchor.tolist() == [0, 1]
    assert pytest.approx(0.131072) == 0.5 * 0.8**6
    torch.testing.assert_close(found.quality, torch.tensor([0.8, 0.0140625 / 0.131072 * 0.8]))
    torch.testing.assert_close(found.weight, torch.ones(2))


def test_keep_leaves_the_best_with_its_own_iou():
    """t = .5 * .8^6 = .131 and .9 * .75^6 = .160: the second is kept, and its label is its own
    IoU, not the larger one of the first."""
    grid = Grid((8, 16), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 16, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 12.8, 8], [4, 0, 16, 8]]])
    predictions = Predictions.from_tensors(logit([[[0.5], [0.9]]]), boxes)
    found = TAL(keep=1)(grid, targets, predictions)
    assert ids(found) == [(1, 0)]
    torch.testing.assert_close(found.quality, torch.tensor([0.75]))
    assert ids(TAL(keep=2)(grid, targets, predictions)) == [(0, 0), (1, 0)]


def test_keep_acts_after_the_contest():
    """Both objects choose the first cell alone; the loser stays empty, though the second is
    free."""
    grid = Grid((8, 16), [Level(stride=8)])
    boxes = [[0.0, 0, 16, 8], [0.0, 0, 16, 7]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 0]}])
    predicted = torch.tensor([[[0.0, 0, 16, 8], [0, 0, 4, 8]]])
    predictions = Predictions.from_tensors(torch.zeros(1, 2, 1), predicted)
    assert ids(TAL(k=1, keep=1)(grid, targets, predictions)) == [(0, 0)]
    assert ids(TAL(k=2, keep=1)(grid, targets, predictions)) == [(0, 0)]


def test_a_contested_anchor_goes_to_the_larger_overlap_not_the_larger_metric():
    grid = Grid((8, 8), [Level(stride=8)])
    boxes = [[0.0, 0, 8, 8], [0.0, 0, 8, 7]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 1]}])
    predictions = Predictions.from_tensors(
        logit([[[0.01, 0.99]]]), torch.tensor([[[0.0, 0, 8, 8]]])
    )
    found = TAL()(grid, targets, predictions)  # IoU 1 and .875; t .01 and .99 * .449
    assert ids(found) == [(0, 0)]


def test_an_anchor_outside_takes_a_place_among_all_and_none_inside():
    """Three cells, the object in the first. The third predicts it best: with k = 1 nothing is
    left."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 8, 6], [16, 0, 24, 8], [0, 0, 8, 7]]])  # IoU .75, 0, .875
    predictions = Predictions.from_tensors(torch.zeros(1, 3, 1), boxes)
    assert ids(TAL(k=1)(grid, targets, predictions)) == []
    assert ids(TAL(k=2)(grid, targets, predictions)) == [(0, 0)]
    assert ids(TAL(k=1, among="inside")(grid, targets, predictions)) == [(0, 0)]


def test_min_side_finds_candidates_for_an_object_between_the_centres():
    grid = points(strides=(8, 16))
    boxes = torch.tensor([[15.0, 15, 17, 17]])
    targets = Targets.from_list([{"boxes": boxes, "labels": [0]}])
    predictions = Predictions.from_tensors(
        torch.zeros(1, len(grid), 1), boxes.expand(1, len(grid), 4)
    )
    assert len(TAL()(grid, targets, predictions)) == 0
    found = TAL(min_side=16)(grid, targets, predictions)
    # enlarged to (8, 8, 24, 24): centres 12 and 20 of stride 8; those of stride 16 are on its edge
    assert found.anchor.tolist() == [17, 18, 33, 34]


def test_no_overlap_means_no_positive_and_no_nan():
    grid = points()
    targets, predictions = scene(grid, 0)
    far = Predictions.from_tensors(predictions.logits, predictions.codes + 10_000)
    found = TAL()(grid, targets, far)
    assert len(found) == 0
    flat = Predictions.from_tensors(predictions.logits, predictions.codes * 0)
    assert torch.isfinite(TAL.ultralytics()(grid, targets, flat).quality).all()


def test_deviation_candidates_without_overlap_never_fill_up_the_k():
    """One of four candidates overlaps; Ultralytics' top-k would take the other three at t = 0."""
    grid = Grid((8, 32), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 32, 8]], "labels": [0]}])
    boxes = torch.tensor([90.0, 90, 99, 99]).repeat(1, 4, 1)
    boxes[0, 2] = targets.boxes[0]
    predictions = Predictions.from_tensors(torch.zeros(1, 4, 1), boxes)
    assert ids(TAL.ultralytics()(grid, targets, predictions)) == [(2, 0)]


def test_refuses_what_makes_no_sense():
    for bad in (
        {"k": 0},
        {"alpha": -1.0},
        {"min_side": -1.0},
        {"overlap": "x"},
        {"contest": "x"},
        {"among": "x"},
        {"keep": 0},
    ):
        with pytest.raises(ValueError, match="TAL"):
            TAL(**bad)
    grid = points()
    targets, predictions = scene(grid, 0, classes=4)
    with pytest.raises(ValueError, match="TAL needs predictions"):
        TAL()(grid, targets)
    with pytest.raises(ValueError, match="predictions are for"):
        TAL()(points((64, 64)), targets, predictions)
    few = Predictions.from_tensors(predictions.logits[..., :1], predictions.codes)
    with pytest.raises(ValueError, match="predicts 1 class "):
        TAL()(grid, targets, few)
