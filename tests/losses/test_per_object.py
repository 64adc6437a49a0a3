"""Every object counts the same in a loss, however many anchors answer for it."""

from dataclasses import replace

import pytest
import torch
from assign.dense import points, scene

from kedge import Targets
from kedge.assign import ATSS
from kedge.losses import DenseLoss
from kedge.losses.box_terms import BoxOverlap
from kedge.sample import Sample
from kedge.types import Assignment


def chosen(target: list[int], weight: list[float] | None = None) -> Assignment:
    """Pairs of the objects ``target`` of two images, of which object 2 has none."""
    boxes = [
        {"boxes": torch.tensor([[0.0, 0, 9, 9]] * 3)},
        {"boxes": torch.tensor([[0.0, 0, 9, 9]])},
    ]
    return Assignment(
        anchor=torch.arange(len(target)),
        target=torch.tensor(target, dtype=torch.int64),
        weight=None if weight is None else torch.tensor(weight),
        targets=Targets.from_list(boxes),
        num_anchors=20,
    )


def test_weights_by_hand():
    # 1, 3 and 2 pairs: two each
    got = chosen([0, 1, 1, 1, 3, 3]).per_object()
    assert torch.allclose(got.weight, torch.tensor([2, 2 / 3, 2 / 3, 2 / 3, 1, 1]))
    # what a strategy says of the pairs of one object stays as it is among them: 2.0 each
    got = chosen([0, 1, 1, 3], [1.0, 1.0, 3.0, 1.0]).per_object()
    assert torch.allclose(got.weight, torch.tensor([2, 0.5, 1.5, 2]))
    # an object whose pairs weigh nothing goes on weighing nothing, and counts as none
    got = chosen([0, 1, 1], [1.0, 0.0, 0.0]).per_object()
    assert got.weight.tolist() == [1, 0, 0]
    assert len(chosen([]).per_object()) == 0
    equal = chosen([0, 1, 3])
    assert torch.equal(equal.per_object().weight, equal.weight)


def test_half_precision_stays_finite():
    pairs = replace(chosen([0, 1, 1, 1]), weight=torch.tensor([1.0, 0, 0, 0]).half())
    assert pairs.per_object().weight.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("sampled", [False, True])
def test_the_loss_is_that_of_pairs_so_weighted(sampled):
    grid = points()
    targets, predictions = scene(grid, 0)
    pairs = ATSS(side=8)(grid, targets)
    counts = torch.bincount(pairs.target)
    assert counts[counts > 0].unique().numel() > 1
    sample = None
    if sampled:
        free = torch.ones(pairs.total, dtype=torch.bool)
        free[pairs.anchor] = False
        sample = Sample(positive=torch.arange(0, len(pairs), 2), negative=free.nonzero()[::3, 0])
    loss = DenseLoss(box=BoxOverlap())
    plain = loss(predictions, pairs, sample).terms
    wanted = loss(predictions, pairs.per_object(), sample).terms
    loss.per_object = True
    got = loss(predictions, pairs, sample).terms
    for name, term in got.items():
        assert torch.equal(term, wanted[name])
        assert not torch.isclose(term, plain[name])


def test_each_object_pulls_as_much_at_its_class():
    """At the start of a training every pair's class loss is the same: then objects' are."""
    grid = points()
    targets, predictions = scene(grid, 1, counts=(6, 3))
    pairs = ATSS(side=8)(grid, targets)
    logits = torch.full_like(predictions.logits, -2.0, requires_grad=True)
    said = replace(predictions, logits=logits)
    terms = DenseLoss(box=BoxOverlap(), per_object=True)(said, pairs).terms
    terms["classification"].backward()
    image, place = pairs.anchor // len(grid), pairs.anchor % len(grid)
    pull = logits.grad[image, place, pairs.labels]
    own = torch.zeros(len(targets)).index_add_(0, pairs.target, pull)
    own = own[own != 0]
    assert len(own) > 3
    assert torch.allclose(own, own.mean().expand_as(own), rtol=1e-4)
