"""Ranked: on paper, and against the dense rule."""

import pytest
import torch
from assign.rules import best_labels, from_labels, outcome, per_image
from assign.test_rfla import random_fields

from kedge import ByNWD, Free, Grid, Level, Targets
from kedge.assign import Ranked
from kedge.boxes import gcd, iou, nwd, simd

MEASURES = {"nwd": nwd, "simd": simd, "gcd": gcd, "iou": iou}


def dense(anchors, boxes, rule: Ranked):
    """Anchors x objects: the k most similar of every object; the best object of each wins."""
    labels = torch.full((len(anchors),), -1)
    if len(boxes):
        value = MEASURES[rule.measure](anchors[:, None], boxes[None])
        labels[value.amax(1) >= rule.negative] = -2
        first = value.argsort(dim=0, descending=True, stable=True)[: rule.k]
        ranked = torch.zeros_like(value, dtype=torch.bool).scatter(0, first, True)
        own = best_labels(value, ranked & (value > 0))
        labels = torch.where(own >= 0, own, labels)
    return from_labels(labels)


def test_by_hand():
    # a row of 10 x 10 at 5, 15, 25 ... px; objects of 10 x 10 at 22 and at 31 px
    grid = Grid((10, 60), [Level(stride=10, shapes=[(10, 10)])])
    box = torch.tensor([[17.0, 0, 27, 10], [26, 0, 36, 10]])
    targets = Targets.from_list([{"boxes": box}])
    # NWD is exp(-distance / 12.8). The first is 3 px from anchor 2 and 7 from anchor 1; the second
    # 4 px from anchor 3 and 6 from anchor 2, which is nearer to the first. .3 is 15.4 px
    assert outcome(Ranked()(grid, targets)) == ([(1, 0), (2, 0), (3, 1)], {4})
    assert outcome(Ranked(negative=0.4)(grid, targets)) == ([(1, 0), (2, 0), (3, 1)], set())
    assert outcome(Ranked(k=1)(grid, targets)) == ([(2, 0), (3, 1)], {1, 4})
    same = Ranked(measure="iou", negative=0.3)(ByNWD(grid), targets)
    assert outcome(same) == outcome(Ranked()(grid, targets))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_dense_rule(measure, seed):
    grid, targets = random_fields(seed)
    rule = Ranked(measure=measure, k=1 + seed)
    want = per_image(targets, grid, lambda boxes, _: dense(grid.boxes(), boxes, rule))
    assert outcome(rule(grid, targets)) == want


def test_the_assignment_is_of_the_anchors_that_were_given():
    grid = Grid((10, 60), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[17.0, 0, 27, 10]])}])
    assert Ranked()(grid, targets).anchors is grid


def test_settings_are_checked():
    for bad in ({"k": 0}, {"negative": 0.0}, {"negative": 1.1}):
        with pytest.raises(ValueError, match="Ranked needs k >= 1"):
            Ranked(**bad)
    grid = Grid((10, 60), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[17.0, 0, 27, 10]])}])
    with pytest.raises(ValueError, match=r"Ranked\.measure is one of 'iou', 'nwd', .* got 'l2'"):
        Ranked(measure="l2")(grid, targets)
    with pytest.raises(ValueError, match=r"Ranked\(measure='nwd'\) needs a Grid"):
        Ranked()(Free(grid.boxes()), targets)
    assert len(Ranked(measure="iou")(Free(grid.boxes()), targets)) == 2
