"""MMDetection's prediction-aware assigners: equal, and where not.

SimOTA and DynamicSoftLabel are compared twice: label by label, and on the peer's own matrix of
costs, from which the declared difference follows exactly.
"""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from parity.cases import CLASSES, boxes, cases, images, mm, needs, peers, points, scene
from torch import Tensor

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import PAA, TAL, DynamicSoftLabel
from kedge.assign.paa import own_targets
from kedge.boxes import giou

pytestmark = needs("MMDetection")


# -- SimOTA and DynamicSoftLabel -------------------------------------------------------------------


class Costs:
    """What the peer's matching was given: costs and IoU (n, G) of the anchors ``valid`` (N,)."""

    cost: Tensor
    iou: Tensor
    valid: Tensor | None = None  # None: it was not reached, no anchor is near any object


@pytest.fixture
def costs(monkeypatch) -> Costs:
    """Filled in by every call of the peer."""
    seen = Costs()
    for name in ("SimOTAAssigner", "DynamicSoftLabelAssigner"):
        rule = getattr(mm.mmdetection().assigners, name)

        def matching(self, cost, iou, count, valid, original=rule.dynamic_k_matching):
            seen.cost, seen.iou, seen.valid = cost.clone(), iou.clone(), valid.clone()
            return original(self, cost, iou, count, valid)

        monkeypatch.setattr(rule, "dynamic_k_matching", matching)
    return seen


class Matched(NamedTuple):
    """What the rule makes of the peer's costs."""

    labels: Tensor  # (N,)
    tie: bool  # whether a decision hangs on less than the rounding of the costs


def matched(costs: Costs, k: int, possible: Tensor) -> Matched:
    """Only ``possible`` (N, G) pairs are candidates. A contested anchor goes to the cheapest of the
    objects of which it is one, whether that claims it or not."""
    labels = torch.full((len(possible),), -1)
    if costs.valid is None:
        return Matched(labels, False)
    valid, cost = costs.valid, torch.where(possible[costs.valid], costs.cost, torch.inf)
    wanted = costs.iou.topk(min(k, len(cost)), dim=0).values.sum(0).int().clamp(min=1)
    claims, tie = torch.zeros_like(cost, dtype=torch.bool), False
    for i, count in enumerate(wanted.tolist()):
        price, order = cost[:, i].sort()
        claims[order[:count], i] = True
        if count < len(price):
            tie |= close(price[count - 1], price[count])
        taken = min(count, int(possible[valid, i].sum()))
        tie |= bool((price[:taken] == torch.inf).any())  # 10^distance overflows at 41 strides
    claims &= cost < torch.inf
    contested = claims.sum(1) > 1
    offers = cost.sort(dim=1).values
    if offers.shape[1] > 1:
        tie |= any(close(a, b) for a, b in offers[contested, :2])
    best = torch.where(contested, cost.argmin(1), claims.int().argmax(1))
    labels[valid] = torch.where(claims.any(1), best, -1)
    return Matched(labels, tie)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two costs are within rounding: far from its object one is 1e5 and more (SimOTA)."""
    return bool(b < torch.inf) and bool(b - a < (1 / 32 if a > 9e4 else 1e-4))


def candidates(grid: Grid, found: Tensor, predicted: Tensor, radius: float | None) -> Tensor:
    """(N, G): with a radius whether the point is inside or near the object, or its prediction
    overlaps it (SimOTA's declared deviation); else all."""
    if radius is None:
        return torch.ones(len(grid), len(found), dtype=torch.bool)
    point = grid.points()[:, None]
    out = ((point > found[:, :2]) & (point < found[:, 2:])).all(-1)
    away = (point - (found[:, :2] + found[:, 2:]) / 2).abs()
    out |= (away < radius * grid.stride()[:, None]).all(-1)
    low = torch.maximum(predicted[:, None, :2], found[:, :2])
    high = torch.minimum(predicted[:, None, 2:], found[:, 2:])
    return out | (high > low).all(-1)


DYNAMIC = [("SimOTA", 10, 2.5), ("DynamicSoftLabel", 13, None)]


@pytest.mark.parametrize("side", [(1.0, 120.0), (40.0, 150.0)], ids=["any", "large"])
@pytest.mark.parametrize(("name", "k", "radius"), DYNAMIC)
def test_every_label_follows_from_the_peers_costs(name, k, radius, side, costs):
    grid = points()
    own = peers.COUNTERPARTS[name, "MMDetection"]
    compared = same = 0
    for seed in range(30):
        targets, predictions = scene(grid, seed, counts=(6, 1, 14, 40), side=side)
        ours = own(grid, targets, predictions).dense()
        for image, given in enumerate(images(targets, predictions)):
            costs.valid = None
            theirs = peers.PEERS[name, "MMDetection"](grid, grid.boxes(), *given)
            possible = candidates(grid, given[0], given[3], radius)
            here, there = (matched(costs, k, p) for p in (possible, torch.ones_like(possible)))
            if here.tie or there.tie:
                continue
            where = f"seed {seed}, image {image}"
            assert torch.equal(theirs, there.labels), where
            for anchor in (ours[image] != here.labels).nonzero()[:, 0].tolist():
                # declared: several want it, and it touches the one to which it costs least as
                # little as that wants it
                taker, cheapest = int(ours[image, anchor]), int(here.labels[anchor])
                at = int(costs.valid[:anchor].sum())
                assert costs.iou[at, cheapest] == 0, where
                assert costs.cost[at, cheapest] < costs.cost[at, taker], where
            compared += 1
            same += torch.equal(ours[image], theirs)
    print(f"{name}: {same} of {compared} images equal")
    assert compared > 50
    assert same > 0.95 * compared


@pytest.mark.parametrize("name", ["SimOTA", "DynamicSoftLabel"])
def test_a_single_large_object_is_the_same(name):
    # nothing is contested, and there are anchors enough inside
    alone = list(
        cases((name, "MMDetection"), points(), 40, counts=(1, 0, 1), side=(60.0, 150.0), share=0.5)
    )
    assert len(alone) == 120
    assert [case.name for case in alone if not case.same] == []


def test_dynamic_soft_label_gives_a_tiny_object_an_anchor_that_knows_nothing_of_it():
    # no centre is inside the second object, no prediction overlaps it: 3 * -ln 1e-7 = 48 at least
    grid = Grid((16, 64), [Level(stride=16)])
    found = torch.tensor([[1.0, 1, 31, 15], [38, 1, 39, 2]])
    predicted = found[:1].repeat(4, 1)
    predicted[1] = torch.tensor([49.0, 1, 63, 15])
    logits = torch.zeros(4, CLASSES)
    targets = Targets.from_list([{"boxes": found}])
    theirs = peers.PEERS["DynamicSoftLabel", "MMDetection"](
        grid, grid.boxes(), found, targets.labels, logits, predicted
    )
    given = Predictions.from_tensors(logits[None], predicted[None])
    assert DynamicSoftLabel()(grid, targets, given).dense()[0].tolist() == [0, 1, -1, -1]
    assert theirs.tolist() == [0, 1, -1, -1]


# -- TAL -------------------------------------------------------------------------------------------


def their_tal(grid: Grid, targets: Targets, predictions: Predictions) -> Tensor:
    return peers.PEERS["TAL", "MMDetection"](
        grid,
        grid.boxes(),
        targets.boxes,
        targets.labels,
        predictions.logits[0],
        predictions.codes[0],
    )


@pytest.mark.parametrize(
    ("count", "share", "most"), [(5, 0.05, 90), (25, 0.05, 3600), (25, 0.3, 390)]
)
def test_tal_is_the_same_with_anchors_outside_that_compete(count, share, most):
    grid, positives = points(), 0
    for seed in range(40):
        targets, predictions = scene(grid, seed, (count,), side=(20.0, 150.0), share=share)
        ours = TAL()(grid, targets, predictions).dense()[0]
        theirs = their_tal(grid, targets, predictions)
        for anchor in (ours != theirs).nonzero()[:, 0].tolist():  # on the edge: the next test
            box = targets.boxes[max(int(ours[anchor]), int(theirs[anchor]))].view(2, 2)
            assert (grid.points()[anchor] - box).abs().min() <= 0.01, (seed, anchor)
        positives += int((ours >= 0).sum())
    assert positives > most


def test_tal_asks_for_a_centre_inside_and_mmdetection_for_a_hundredth_of_a_pixel_more():
    grid = points((32, 48), levels=1)
    found = torch.tensor([[3.995, 3.995, 20.0, 20.0]])  # the first centre is (4, 4)
    targets = Targets.from_list([{"boxes": found}])
    predictions = Predictions.from_tensors(
        torch.zeros(1, len(grid), 1), found.expand(len(grid), 4)[None]
    )
    ours = TAL(k=24)(grid, targets, predictions).dense()[0]
    assert ours[0] == 0
    peer = mm.mmdetection()
    result = peer.assigners.TaskAlignedAssigner(topk=24).assign(
        peer.InstanceData(
            priors=grid.boxes(), bboxes=predictions.codes[0], scores=predictions.logits[0].sigmoid()
        ),
        mm.mmdetection_instances(found, targets.labels),
    )
    theirs = mm.mmdetection_labels(result)
    assert theirs[0] == -1
    assert torch.equal(ours[(grid.points() > 8).all(1)], theirs[(grid.points() > 8).all(1)])


# -- PAA -------------------------------------------------------------------------------------------


def test_paa_on_the_same_candidates():
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    head = mm.mmdetection().heads.PAAHead
    grid, same = boxes(), 0
    for seed in range(30):
        targets, predictions = scene(grid, seed, counts=(6,), side=(12.0, 80.0), share=0.4)
        pairs = own_targets(grid, targets, 0.1)
        pairs = pairs.select(pairs.anchor.argsort())
        logits = predictions.logits[0][pairs.anchor]
        onehot = torch.nn.functional.one_hot(targets.labels[pairs.target], CLASSES)
        loss = py_sigmoid_focal_loss(logits, onehot, reduction="none").sum(1)
        loss = loss + 1.3 * (1 - giou(predictions.codes[0][pairs.anchor], pairs.target_boxes()))
        given = SimpleNamespace(
            topk=9,
            covariance_type="diag",
            num_classes=CLASSES,
            gmm_separation_scheme=lambda *a: head.gmm_separation_scheme(None, *a),
        )
        label = torch.full((len(grid),), CLASSES)
        label[pairs.anchor] = targets.labels[pairs.target]
        weight = torch.ones(len(grid))
        boxes_weight = torch.ones(len(grid), 4)
        levels = list(grid.boxes().split(list(grid.anchors_per_level)))
        label, *_ = head.paa_reassign(
            given, loss.double(), label, weight, boxes_weight, pairs.anchor, pairs.target, levels
        )
        ours = PAA(box_weight=1.3)(grid, targets, predictions).dense()[0][pairs.anchor]
        theirs = label[pairs.anchor] < CLASSES
        # MMDetection leaves out what is cheaper than the lower component, where the wide upper one
        # reaches below it; the authors' code, and ours, do not
        for i in pairs.target.unique():
            mine, level = pairs.target == i, pairs.level()
            if not (theirs & mine).any():
                continue  # it drops objects with a single candidate
            highest = loss[theirs & mine].max()
            low = torch.zeros_like(mine)
            for step in range(3):
                rows = (mine & (level == step)).nonzero()[:, 0]
                low[rows[loss[rows].argsort()[:9]]] = True
            assert torch.equal((ours >= 0) & mine, low & (loss <= highest)), (seed, i)
        same += torch.equal(ours >= 0, theirs)
    assert 20 < same < 30
