"""PAA: the mixture against one fit at a time, the whole rule against its dense form."""

import math

import pytest
import torch
import torch.nn.functional as F
from assign.dense import boxes_grid, ids, images, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.paa import PAA
from kedge.assign.shared.mixture import two_gaussians
from kedge.boxes import giou, iou


def fit_one(values):
    """EM for one list, term by term: (log densities, whether component 0 is the likelier)."""
    n = len(values)
    weight, mean, variance = [0.5, 0.5], [min(values), max(values)], [1.0, 1.0]
    previous = -math.inf

    def joint(x):
        return [
            math.log(weight[c])
            - 0.5 * ((x - mean[c]) ** 2 / variance[c] + math.log(2 * math.pi * variance[c]))
            for c in (0, 1)
        ]

    def add(a, b):
        return max(a, b) + math.log1p(math.exp(-abs(a - b)))

    for _ in range(100):
        logs = [joint(x) for x in values]
        sums = [add(*log) for log in logs]
        mass = [0.0, 0.0]
        for c in (0, 1):
            share = [math.exp(log[c] - s) for log, s in zip(logs, sums)]
            mass[c] = sum(share) + 10 * 2.220446049250313e-16
            mean[c] = sum(s * x for s, x in zip(share, values)) / mass[c]
            spread = sum(s * (x - mean[c]) ** 2 for s, x in zip(share, values))
            variance[c] = spread / mass[c] + 1e-6
        weight = [m / sum(mass) for m in mass]
        likelihood = sum(sums) / n
        if abs(likelihood - previous) < 1e-3:
            break
        previous = likelihood
    logs = [joint(x) for x in values]
    return [add(*log) for log in logs], [log[0] >= log[1] for log in logs]


def slow_lists(seed):
    """Lists that need anything between 2 and more than 50 iterations."""
    rng = torch.Generator().manual_seed(seed)
    return [
        (scale * torch.rand(n, generator=rng, dtype=torch.float64)).sort().values
        for n in (4, 10, 30)
        for scale in (0.5, 2.0, 5.0, 20.0)
    ]


def lists(seed):
    rng = torch.Generator().manual_seed(seed)
    out = []
    for n in (1, 2, 3, 9, 27, 45):
        low = 0.3 + 0.2 * torch.rand(n, generator=rng, dtype=torch.float64)
        high = 1.5 + torch.rand(n, generator=rng, dtype=torch.float64)
        out.append(torch.where(torch.rand(n, generator=rng) < 0.4, low, high).sort().values)
    return [*out, torch.full((5,), 0.7, dtype=torch.float64)]


def pad(rows):
    out = torch.full((len(rows), max(map(len, rows))), 1e9, dtype=torch.float64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out, torch.tensor([len(row) for row in rows])


@pytest.mark.parametrize("seed", range(3))
def test_all_fits_at_once_are_the_fits_one_by_one(seed):
    rows = lists(seed)
    fit = two_gaussians(*pad(rows))
    for i, row in enumerate(rows):
        density, first = fit_one(row.tolist())
        torch.testing.assert_close(
            fit.log_density[i, : len(row)], torch.tensor(density, dtype=torch.float64)
        )
        if i < len(rows) - 1:  # equal values: the components are equal up to rounding
            assert fit.first[i, : len(row)].tolist() == first


def test_rows_that_take_long_stop_where_they_would_alone():
    rows = slow_lists(0)
    fit = two_gaussians(*pad(rows))
    for i, row in enumerate(rows):
        density, _ = fit_one(row.tolist())
        expected = torch.tensor(density, dtype=torch.float64)
        torch.testing.assert_close(fit.log_density[i, : len(row)], expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_scikit_learns(seed):
    mixture = pytest.importorskip("sklearn.mixture")
    for row in lists(seed)[1:-1]:
        model = mixture.GaussianMixture(
            2,
            weights_init=[0.5, 0.5],
            means_init=[[float(row[0])], [float(row[-1])]],
            precisions_init=[[[1.0]], [[1.0]]],
        )
        model.fit(row[:, None].numpy())
        fit = two_gaussians(row[None], torch.tensor([len(row)]))
        expected = torch.from_numpy(model.score_samples(row[:, None].numpy()))
        torch.testing.assert_close(fit.log_density[0], expected, rtol=1e-6, atol=1e-8)
        assert fit.first[0].tolist() == (model.predict(row[:, None].numpy()) == 0).tolist()


def dense_paa(grid, targets, predictions, rule):
    """The authors' steps, one image and one object at a time."""
    out = []
    level = grid.level()
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        if len(rows) == 0:
            continue
        overlap = iou(boxes[:, None], grid.boxes()[None])
        best, owner = overlap.max(0)
        rescued = ((overlap == overlap.amax(1, keepdim=True)) & (overlap > 0)).any(0)
        mine = (best >= rule.min_iou) | rescued
        for g in range(len(rows)):
            index = (mine & (owner == g)).nonzero()[:, 0]
            label = F.one_hot(labels[g], logits.shape[1]).to(logits.dtype).expand(len(index), -1)
            p = logits[index].sigmoid()
            right = torch.where(label > 0, p, 1 - p)
            balance = torch.where(label > 0, rule.alpha, 1 - rule.alpha)
            loss = (balance * (1 - right) ** rule.gamma * -right.log()).sum(1)
            loss = loss + rule.box_weight * (
                1 - giou(predicted[index], boxes[g].expand(len(index), 4))
            )
            keep = [
                i
                for which in range(grid.num_levels)
                for i in sorted(
                    (level[index] == which).nonzero()[:, 0].tolist(), key=lambda i: loss[i]
                )[: rule.k]
            ]
            keep.sort(key=lambda i: loss[i])
            if not keep:
                continue
            density, first = fit_one([float(loss[i]) for i in keep])
            inside = [d if f else -math.inf for d, f in zip(density, first)]
            last = inside.index(max(inside)) if any(first) else len(keep) - 1
            out += [(image * len(grid) + int(index[i]), int(rows[g])) for i in keep[: last + 1]]
    return sorted(out)


@pytest.mark.parametrize("rule", [PAA(), PAA(box_weight=1.3, k=4), PAA(min_iou=0.4)], ids=repr)
@pytest.mark.parametrize("grid", [points(), boxes_grid()], ids=["points", "boxes"])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_dense_form(rule, grid, seed):
    targets, predictions = scene(grid, seed, dtype=torch.float64)
    expected = dense_paa(grid.with_shapes(grid.shapes.double()), targets, predictions, rule)
    found = rule(grid.with_shapes(grid.shapes.double()), targets, predictions)
    assert ids(found) == expected


def test_by_hand():
    """Three predictions near the object (GIoU loss 0, 1/48 and 2/48), three far from it.

    The lower Gaussian stands on the middle one of the three, so the positives end there.
    """
    grid = Grid((8, 48), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 48, 8]], "labels": [0]}])
    widths = [46.0, 48, 47, 4, 5, 6]
    boxes = torch.tensor([[[0.0, 0, width, 8] for width in widths]])
    predictions = Predictions.from_tensors(torch.zeros(1, 6, 1), boxes)
    assert ids(PAA(box_weight=3)(grid, targets, predictions)) == [(1, 0), (2, 0)]


def test_a_single_candidate_is_positive():
    grid = Grid((8, 8), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 8, 8]], "labels": [0]}])
    predictions = Predictions.from_tensors(torch.zeros(1, 1, 1), torch.tensor([[[3.0, 3, 4, 4]]]))
    assert ids(PAA()(grid, targets, predictions)) == [(0, 0)]


def test_identical_candidates_stay_finite():
    grid = Grid((8, 80), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 80, 8]], "labels": [0]}])
    boxes = torch.tensor([0.0, 0, 80, 8]).expand(1, 10, 4)
    found = PAA()(grid, targets, Predictions.from_tensors(torch.zeros(1, 10, 1), boxes))
    assert len(found) >= 1


def test_refuses_what_makes_no_sense():
    for bad in ({"min_iou": 1.5}, {"k": 0}, {"box_weight": -1.0}):
        with pytest.raises(ValueError, match="PAA needs"):
            PAA(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="PAA needs predictions"):
        PAA()(points(), targets)
