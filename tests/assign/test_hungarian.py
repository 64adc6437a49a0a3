"""The matching of least cost: against scipy on the full matrix, every permutation, and by hand."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from assign.dense import ids, images, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.anchors.boxes import Free
from kedge.assign.hungarian import Hungarian
from kedge.assign.shared import matching
from kedge.assign.shared.matching import cheapest_matching, shortest_paths
from kedge.boxes import giou, iou


def full_cost(grid, boxes, labels, logits, predicted, rule):
    height, width = grid.image_size
    scale = torch.tensor([width, height, width, height])

    def centred(b):
        return torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1) / scale

    if rule.classification == "softmax":
        classes = -logits.softmax(-1)
    else:
        p = logits.sigmoid()
        classes = 0.25 * (1 - p) ** 2 * -p.log() - 0.75 * p**2 * -(1 - p).log()
    return (
        rule.class_weight * classes[:, labels].T
        + rule.box_weight * torch.cdist(centred(boxes), centred(predicted), p=1)
        + rule.giou_weight * (1 - giou(predicted[None], boxes[:, None]))
    )


@pytest.mark.parametrize("rule", [Hungarian(), Hungarian.detr()], ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_full_matrix(rule, seed):
    optimize = pytest.importorskip("scipy.optimize")
    grid = points()
    targets, predictions = scene(grid, seed, counts=(5, 0, 1, 40), dtype=torch.float64)
    expected = []
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        cost = full_cost(grid, boxes, labels, logits, predicted, rule)
        for g, n in zip(*optimize.linear_sum_assignment(cost.numpy())):
            expected.append((image * len(grid) + int(n), int(rows[g])))
    assert ids(rule(grid, targets, predictions)) == sorted(expected)


def full_product(boxes, labels, logits, predicted, rule):
    score = logits.softmax(-1) if rule.classification == "softmax" else logits.sigmoid()
    return -(score[:, labels].T * iou(predicted[None], boxes[:, None]) ** rule.iou_power)


@pytest.mark.parametrize(
    "rule",
    [
        Hungarian(repeat=6),
        Hungarian(groups=4),
        Hungarian(repeat=2, groups=3, classification="softmax"),
        Hungarian(cost="product"),
        Hungarian(cost="product", classification="softmax", iou_power=2, groups=2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("seed", range(2))
def test_variants_equal_the_full_matrix(rule, seed):
    """Every group of anchors by itself, every object so many times."""
    optimize = pytest.importorskip("scipy.optimize")
    grid = points()
    targets, predictions = scene(grid, seed, counts=(5, 0, 1, 30), dtype=torch.float64)
    expected = []
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if rule.cost == "product":
            cost = full_product(boxes, labels, logits, predicted, rule)
        else:
            cost = full_cost(grid, boxes, labels, logits, predicted, rule)
        again = torch.arange(len(rows)).repeat_interleave(rule.repeat)
        for group in torch.arange(len(grid)).view(rule.groups, -1):
            part = cost[again][:, group]
            for g, n in zip(*optimize.linear_sum_assignment(part.numpy())):
                if rule.cost == "sum" or part[g, n] < 0:  # at 0 any anchor is as good
                    pair = (image * len(grid) + int(group[n]), int(rows[again[g]]))
                    expected.append(pair)
    found = rule(grid, targets, predictions)
    if rule.cost == "product":
        touched = iou(predictions.boxes_at(found.anchor), found.boxes) > 0
        found = found.only(touched.nonzero()[:, 0])
    assert ids(found) == sorted(expected)


def row(ious, scores) -> tuple[Grid, Targets, Predictions]:
    """Four cells; the object is the first 8 px, and the predictions overlap it by ``ious``."""
    grid = Grid((8, 32), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 8 * value, 8] for value in ious]])
    logits = torch.logit(torch.tensor(scores)).view(1, 4, 1)
    return grid, targets, Predictions.from_tensors(logits, boxes)


def test_variants_by_hand():
    grid, targets, predictions = row([1.0, 0.5, 0.9, 0.7], [0.5, 0.5, 0.5, 0.5])
    assert ids(Hungarian(repeat=2)(grid, targets, predictions)) == [(0, 0), (2, 0)]
    # the halves by themselves: 1 of (1, .5) and .9 of (.9, .7)
    assert ids(Hungarian(groups=2)(grid, targets, predictions)) == [(0, 0), (2, 0)]
    assert ids(Hungarian(groups=4)(grid, targets, predictions)) == [(n, 0) for n in range(4)]
    assert ids(Hungarian(repeat=9)(grid, targets, predictions)) == [(n, 0) for n in range(4)]
    # .3 * 1, .9 * .7^4 = .216, .5 * .9^4 = .328; with the IoU as it is .3, .63, .45
    grid, targets, predictions = row([1.0, 0.7, 0.9, 0.1], [0.3, 0.9, 0.5, 0.99])
    assert ids(Hungarian(cost="product")(grid, targets, predictions)) == [(2, 0)]
    assert ids(Hungarian(cost="product", iou_power=1)(grid, targets, predictions)) == [(1, 0)]


def test_a_prediction_that_is_not_finite_never_beats_one_that_is():
    grid, targets, predictions = row([1.0, 0.7, 0.9, 0.1], [0.3, 0.9, 0.5, 0.99])
    codes = predictions.codes.clone()
    codes[0, :3] = torch.nan
    wild = replace(predictions, codes=codes)
    assert ids(Hungarian(cost="product")(grid, targets, wild)) == [(3, 0)]


def test_variants_refuse_what_makes_no_sense():
    for bad in ({"repeat": 0}, {"groups": 0}, {"iou_power": 0.0}, {"cost": "x"}):
        with pytest.raises(ValueError, match="Hungarian"):
            Hungarian(**bad)
    grid, targets, predictions = row([1.0, 0.7, 0.9, 0.1], [0.3, 0.9, 0.5, 0.99])
    with pytest.raises(ValueError, match="4 anchors an image cannot be parted into 3 groups"):
        Hungarian(groups=3)(grid, targets, predictions)


def test_the_fallback_without_scipy_is_the_same(monkeypatch):
    grid = points()
    targets, predictions = scene(grid, 0, counts=(12, 3), dtype=torch.float64)
    expected = ids(Hungarian()(grid, targets, predictions))
    for name in list(sys.modules):
        if name.split(".")[0] == "scipy":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    assert ids(Hungarian()(grid, targets, predictions)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_shortest_paths_beats_every_permutation(seed):
    rng = np.random.default_rng(seed)
    count, width = 5, 7
    cost = rng.normal(size=(count, width)).round(1)  # with ties
    row, column = np.indices(cost.shape).reshape(2, -1)
    mate = shortest_paths(row, column, cost.ravel(), count, width)
    assert len(set(mate.tolist())) == count
    best = min(
        sum(cost[i, j] for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(width), count)
    )
    assert cost[np.arange(count), mate].sum() == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_shortest_paths_is_scipy_on_sparse_edges(seed):
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(seed)
    cost = rng.random((30, 50))
    cost[rng.random(cost.shape) < 0.7] = np.inf
    cost[np.arange(30), rng.permutation(50)[:30]] = 5.0  # some matching exists
    row, column = np.nonzero(np.isfinite(cost))
    mate = shortest_paths(row, column, cost[row, column], 30, 50)
    _, expected = optimize.linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e6))
    assert mate.tolist() == expected.tolist()


def test_by_hand():
    """Costs [[1, 2], [1, 4]]: greedy gives 1 + 4, the best matching 2 + 1."""
    cost = torch.tensor([[1.0, 2], [1, 4]])
    assert cheapest_matching(2, 2, cheapest_of(cost)).tolist() == [1, 0]


def cheapest_of(cost, asked=None):
    """The k cheapest edges of rows of a matrix, and what was asked for."""

    def cheapest(rows, k):
        if asked is not None:
            asked.extend((row, k) for row in rows.tolist())
        value, column = cost[rows].topk(k, dim=1, largest=False)
        return column, value

    return cheapest


@pytest.mark.parametrize("first", [1, 2, 5, 32])
@pytest.mark.parametrize("kind", ["any", "ties", "all want the same", "crowds", "equal"])
@pytest.mark.parametrize("by_scipy", [True, False])
def test_few_edges_give_the_matching_of_the_whole_matrix(first, kind, by_scipy, monkeypatch):
    """Also where the first edges cover no matching, or one that is dearer than the best."""
    optimize = pytest.importorskip("scipy.optimize")
    monkeypatch.setattr(matching, "FIRST", first)
    if not by_scipy:
        monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    rng = torch.Generator().manual_seed(len(kind) + first)
    for count, width in ((1, 1), (7, 7), (20, 33), (33, 80)):
        cost = torch.rand(count, width, generator=rng, dtype=torch.float64)
        if kind == "ties":
            cost = (4 * cost).round()
        elif kind == "all want the same":
            cost += torch.arange(width) * 2.0
        elif kind == "crowds":  # every fifth row has a column that is good for its crowd
            cost -= 3.0 * (torch.arange(width) % 5 == torch.arange(count)[:, None] % 5)
            cost[:, width // 2 :] += 10
        elif kind == "equal":
            cost = torch.ones_like(cost)
        asked = []
        column = cheapest_matching(count, width, cheapest_of(cost, asked))
        assert len(column.unique()) == count
        row, best = optimize.linear_sum_assignment(cost.numpy())
        mine = cost[torch.arange(count), column].sum().item()
        assert mine == pytest.approx(cost.numpy()[row, best].sum(), abs=1e-9)
        assert max(k for _, k in asked) <= count
    if kind == "all want the same" and first < 32:
        assert len(asked) > count  # the rare branch was taken


def test_only_the_rows_that_could_pay_more_are_looked_at_again(monkeypatch):
    """Two rows want one column; a third is content, and is asked once."""
    monkeypatch.setattr(matching, "FIRST", 1)
    cost = torch.tensor([[0.0, 5, 9, 9], [0.0, 1, 9, 9], [9.0, 9, 0, 9]])
    asked = []
    monkeypatch.setattr(matching, "FIRST", 2)
    assert cheapest_matching(3, 4, cheapest_of(cost, asked)).tolist() == [0, 1, 2]
    assert asked == [(0, 2), (1, 2), (2, 2)]


def test_rows_that_no_matching_covers_are_said_to_have_none():
    rows, columns = np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1])
    assert shortest_paths(rows, columns, np.ones(4), 3, 2) is None


def test_more_objects_than_anchors():
    grid = Grid((8, 16), [Level(stride=8)])
    boxes = [[0.0, 0, 8, 8], [1.0, 1, 7, 7], [8.0, 0, 16, 8]]
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 0, 0]}])
    predictions = Predictions.from_tensors(torch.zeros(1, 2, 1), grid.boxes()[None])
    assert ids(Hungarian()(grid, targets, predictions)) == [(0, 0), (1, 2)]


def test_predictions_that_are_not_finite_match_only_when_nothing_else_is_left():
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8], [8.0, 0, 16, 8]], "labels": [0, 0]}])
    boxes = grid.boxes()[None].clone()
    boxes[0, 0] = torch.nan
    found = Hungarian()(grid, targets, Predictions.from_tensors(torch.zeros(1, 3, 1), boxes))
    assert sorted(found.anchor.tolist()) == [1, 2]


def test_queries_off_the_grid_need_the_image_size():
    grid = points()
    targets, predictions = scene(grid, 0, counts=(4,))
    queries = Free(grid.boxes())
    with pytest.raises(ValueError, match="image_size"):
        Hungarian()(queries, targets, predictions)
    found = Hungarian(image_size=grid.image_size)(queries, targets, predictions)
    assert ids(found) == ids(Hungarian()(grid, targets, predictions))


def test_refuses_what_makes_no_sense():
    for bad in ({"class_weight": -1.0}, {"classification": "x"}):
        with pytest.raises(ValueError, match="Hungarian"):
            Hungarian(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="Hungarian needs predictions"):
        Hungarian()(points(), targets)


@pytest.mark.parametrize("of_targets", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("of_predictions", [torch.bfloat16, torch.float32, torch.float64])
def test_objects_and_predictions_may_differ_in_precision(of_targets, of_predictions):
    grid = points()
    targets, predictions = scene(grid, 0, counts=(4, 0, 7))
    targets = replace(targets, boxes=targets.boxes.round())  # the same in every precision
    expected = ids(Hungarian()(grid, targets, predictions))
    other = Predictions.from_tensors(
        predictions.logits.to(of_predictions), predictions.codes.to(of_predictions)
    )
    found = Hungarian()(grid, replace(targets, boxes=targets.boxes.to(of_targets)), other)
    if of_predictions == torch.bfloat16:
        assert len(found) == len(expected)
    else:
        assert ids(found) == expected
