"""LADA: by hand, against the dense form, both readings of the ratio, the single candidate."""

import math

import pytest
import torch
import torch.nn.functional as F
from assign.dense import ids, images, inside, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.lada import LADA, deviation
from kedge.boxes import giou


def dense_lada(grid, targets, predictions, rule):
    """The steps of the docstring over (objects x anchors)."""
    out = []
    stride = grid.stride()[:, 0]
    share = stride / stride.max()
    share = share.sqrt() if rule.ratio == "sqrt" else share
    level = grid.level()
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        count = len(rows)
        centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        away = (grid.points() - centre[:, None]).abs()
        mask = (away < half[:, None] * share[:, None]).all(-1)
        label = F.one_hot(labels, logits.shape[1])[:, None].expand(count, len(grid), -1)
        p = logits.sigmoid().expand_as(label)
        right = torch.where(label > 0, p, 1 - p)
        focal = torch.where(label > 0, 0.25, 0.75) * (1 - right) ** 2 * -right.log()
        low, high = grid.points() - boxes[:, None, :2], boxes[:, None, 2:] - grid.points()
        dev = ((low - high).abs() / (low + high)).sum(-1)
        cost = focal.sum(-1) + rule.box_weight * (1 - giou(predicted[None], boxes[:, None]))
        cost = cost + rule.deviation_weight * (dev - 1).clamp(min=0)
        cost = cost.masked_fill(~mask, math.inf)
        own = torch.zeros_like(mask).scatter(0, cost.argmin(0)[None], True) & mask
        kept = []
        for g in range(count):
            mine = []
            for which in range(grid.num_levels):
                here = (own[g] & (level == which)).nonzero()[:, 0].tolist()
                mine += sorted(here, key=lambda i: cost[g, i])[: rule.k]
            kept.append(sorted(mine, key=lambda i: cost[g, i])[: rule.k_total])
        pooled = [float(cost[g, i]) for g in range(count) for i in kept[g]]
        for g in range(count):
            for i in kept[g]:
                pool = [float(cost[g, j]) for j in kept[g]]
                if rule.pool == "level":
                    pool = [float(cost[g, j]) for j in kept[g] if level[j] == level[i]]
                elif rule.pool == "image":
                    pool = pooled
                if cost[g, i] < sum(pool) / len(pool) or i == kept[g][0]:
                    out.append((image * len(grid) + i, int(rows[g])))
    return sorted(out)


RULES = [
    LADA(),
    LADA(ratio="linear"),
    LADA(pool="level"),
    LADA(pool="image", k=3, k_total=5),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form(rule, seed):
    grid = points()
    targets, predictions = scene(grid, seed, dtype=torch.float64, side=(4, 90))
    expected = dense_lada(grid, targets, predictions, rule)
    assert ids(rule(grid, targets, predictions)) == expected


def test_deviation_by_hand():
    """(l, t, r, b) = (1, 2, 9, 8): 8/10 + 6/10 = 1.4, so the loss has .4 (the reference value)."""
    value = deviation(torch.tensor([[1.0, 2]]), torch.tensor([[0.0, 0, 10, 10]]))
    torch.testing.assert_close(value, torch.tensor([1.4]))
    middle = deviation(torch.tensor([[5.0, 5]]), torch.tensor([[0.0, 0, 10, 10]]))
    assert middle.tolist() == [0]


def test_both_readings_of_the_ratio():
    """Strides 8 and 32, an object of 64 px: r is 1/4 or 1/2 on the first level, so 16 or 32 px."""
    grid = points((64, 64), strides=(8, 32))
    targets = Targets.from_list([{"boxes": [[0.0, 0, 64, 64]], "labels": [0]}])
    linear = grid.inside(targets, LADA(ratio="linear").region(grid, targets))
    root = grid.inside(targets, LADA().region(grid, targets))
    first = [int((pairs.level() == 0).sum()) for pairs in (linear, root)]
    second = [int((pairs.level() == 1).sum()) for pairs in (linear, root)]
    assert first == [4, 16]
    assert second == [4, 4]  # as many on both levels only without the root


def test_the_threshold_is_the_mean_by_hand():
    """Three equal scores; GIoU loss 2/3, 0 and 1/4 (mean .306), or 2/3, 0 and 1/2 (mean .389)."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    for width, expected in ((18.0, [1, 2]), (12.0, [1])):
        boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 24, 8], [0, 0, width, 8]]])
        predictions = Predictions.from_tensors(torch.zeros(1, 3, 1), boxes)
        found = LADA(deviation_weight=0.0)(grid, targets, predictions)
        assert found.anchor.tolist() == expected


def test_a_single_candidate_and_equal_candidates_keep_one():
    grid = Grid((8, 24), [Level(stride=8)])
    for width in (8.0, 24.0):
        targets = Targets.from_list([{"boxes": [[0.0, 0, width, 8]], "labels": [0]}])
        boxes = torch.tensor([0.0, 0, 10, 8]).expand(1, 3, 4)
        predictions = Predictions.from_tensors(torch.zeros(1, 3, 1), boxes)
        assert len(LADA(deviation_weight=0.0)(grid, targets, predictions)) >= 1


def test_candidates_are_inside_the_object():
    grid = points()
    targets, predictions = scene(grid, 1)
    found = LADA()(grid, targets, predictions)
    mask = inside(grid, targets.boxes)
    assert mask[found.target, found.anchor % len(grid)].all()


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"box_weight": -1.0}, {"ratio": "x"}, {"pool": "x"}):
        with pytest.raises(ValueError, match="LADA"):
            LADA(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="LADA needs predictions"):
        LADA()(points(), targets)


@pytest.mark.parametrize("pool", ["target", "level", "image"])
@pytest.mark.parametrize("value", [0.1, 0.3, 1.7, 1 / 3])
def test_equal_costs_have_no_outcome_by_rounding(pool, value):
    """The mean of equal costs is that cost: none is below it, and the cheapest is the one taken."""
    from kedge.anchors.segments import mean

    for count in range(1, 40):
        costs = torch.full((count,), value)
        segment = torch.zeros(count, dtype=torch.int64)
        assert not bool((costs < mean(costs, segment, 1)[segment]).any())
        assert not bool((costs.double() < mean(costs.double(), segment, 1)[segment]).any())
    grid = Grid((32, 32), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 32, 32]])}])
    boxes = targets.boxes.expand(1, len(grid), 4)  # every prediction alike
    said = Predictions.from_tensors(torch.full((1, len(grid), 1), value), boxes)
    got = LADA(deviation_weight=0.0, pool=pool, k=20)(grid, targets, said)
    assert len(got) == 1
