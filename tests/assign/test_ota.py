"""OTA: the sparse plan is the dense plan, by hand, and the edge cases."""

import math

import pytest
import torch
import torch.nn.functional as F
from assign.dense import ids, images, inside, near_centre, points, scene

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.ota import OTA
from kedge.boxes import iou


def dense_ota(grid, targets, predictions, rule):
    """The authors' steps with the full (objects + background) x anchors cost, in float64."""
    out = []
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        region = inside(grid, boxes) & near_centre(grid, boxes, rule.radius)
        keep = region.any(1)  # the documented deviation: no region, no supply
        rows, boxes, labels, region = rows[keep], boxes[keep], labels[keep], region[keep]
        if len(rows) == 0:
            continue
        overlap = iou(boxes[:, None], predicted[None])
        p = logits.double().sigmoid()
        nothing = 0.75 * p**2 * -(1 - p).log()
        label = F.one_hot(labels, logits.shape[1])[:, None]
        something = 0.25 * (1 - p) ** 2 * -p.log()
        cost = torch.where(label > 0, something[None], nothing[None]).sum(-1)
        cost = cost - rule.box_weight * (overlap + 1e-7).log() + 1e6 * ~region
        cost = torch.cat([cost, nothing.sum(-1)[None]]) / rule.epsilon
        top = (overlap * region).sort(1, descending=True).values[:, : rule.k].sum(1)
        supply = top.int().clamp(min=1).double()
        supply = torch.cat([supply, (len(grid) - supply.sum())[None]])
        u, v = torch.ones(len(cost)).double(), torch.ones(len(grid)).double()
        for _ in range(rule.steps):
            v = math.log(1 + 1e-8) - (u[:, None] - cost).logsumexp(0)
            u = (supply + 1e-8).log() - (v - cost).logsumexp(1)
        plan = (u[:, None] + v - cost).exp()
        plan = plan / plan.amax(1, keepdim=True)
        owner = plan.argmax(0)
        for n in (owner < len(rows)).nonzero()[:, 0].tolist():
            out.append((image * len(grid) + n, int(rows[owner[n]])))
    return sorted(out)


@pytest.mark.parametrize(
    "rule", [OTA(), OTA(k=5, steps=10), OTA(radius=1.5, epsilon=0.5)], ids=repr
)
@pytest.mark.parametrize("seed", range(4))
def test_the_sparse_plan_is_the_dense_plan(rule, seed):
    grid = points()
    targets, predictions = scene(grid, seed, dtype=torch.float64, side=(4, 90), near=0.7)
    assert ids(rule(grid, targets, predictions)) == dense_ota(grid, targets, predictions, rule)


def test_crowded_identical_objects_share_too_few_anchors():
    """Five times the same box over three anchors: supplies exceed what the regions can take."""
    grid = Grid((8, 240), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]] * 5, "labels": [0, 1, 2, 0, 1]}])
    rng = torch.Generator().manual_seed(0)
    boxes = torch.tensor([0.0, 0, 24, 8]) + torch.rand(1, 30, 4, generator=rng)
    logits = torch.randn(1, 30, 3, generator=rng)
    predictions = Predictions.from_tensors(logits.double(), boxes.double())
    found = OTA()(grid, targets, predictions)
    assert ids(found) == dense_ota(grid, targets, predictions, OTA())
    assert len(found) <= 3


def test_more_supply_than_anchors_stays_finite():
    """The dense form takes the logarithm of a negative supply here."""
    grid = Grid((8, 24), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]] * 5, "labels": [0, 1, 2, 0, 1]}])
    boxes = torch.tensor([0.0, 0, 24, 8]).expand(1, 3, 4)
    logits = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    found = OTA()(grid, targets, Predictions.from_tensors(logits, boxes))
    assert sorted(found.anchor.tolist()) == [0, 1, 2]


def test_by_hand():
    """Three anchors inside, one predicts the object: k = 1, and that one gets the label."""
    grid = Grid((8, 40), [Level(stride=8)])
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    boxes = torch.tensor([[[0.0, 0, 2, 8], [0, 0, 24, 8], [0, 0, 2, 8]] + [[30.0, 0, 40, 8]] * 2])
    predictions = Predictions.from_tensors(torch.zeros(1, 5, 1), boxes)
    assert ids(OTA()(grid, targets, predictions)) == [(1, 0)]


def test_an_object_between_the_centres_gets_nothing_and_harms_nobody():
    grid = points(strides=(8, 16))
    between = [15.0, 15, 17, 17]
    targets, predictions = scene(grid, 0, counts=(3,))
    with_it = Targets.from_list(
        [
            {
                "boxes": torch.cat([targets.boxes, torch.tensor([between])]),
                "labels": torch.cat([targets.labels, targets.labels[:1]]),
            }
        ]
    )
    assert ids(OTA()(grid, with_it, predictions)) == ids(OTA()(grid, targets, predictions))


def test_refuses_what_makes_no_sense():
    for bad in ({"k": 0}, {"steps": 0}, {"radius": 0.0}, {"epsilon": 0.0}):
        with pytest.raises(ValueError, match="OTA needs"):
            OTA(**bad)
    targets, _ = scene(points(), 0)
    with pytest.raises(ValueError, match="OTA needs predictions"):
        OTA()(points(), targets)
