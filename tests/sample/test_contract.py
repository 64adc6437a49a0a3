"""What every sampler promises, run for each of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.sample import OHEM, All, HardNegatives, IoUBalancedNegatives, RandomSample
from kedge.types import Assignment, Targets

EVERY = [
    All(),
    RandomSample(),
    RandomSample(size=6, positive_share=0.25),
    RandomSample(size=20, max_negatives=2.0),
    HardNegatives(),
    HardNegatives(ratio=1.5, empty_image=0),
    OHEM(size=12),
    OHEM(size=12, positive_share=0.25),
    IoUBalancedNegatives(size=14),
    IoUBalancedNegatives(size=14, floor=0.1, floor_fraction=0.3),
    IoUBalancedNegatives(size=14, floor=0.0),
]
every = pytest.mark.parametrize("sampler", EVERY, ids=repr)


def batch(positives, num_anchors=40, ignored=(), seed=0):
    """An assignment with ``positives[i]`` pairs on random anchors of image i, loss and IoU."""
    g = torch.Generator().manual_seed(seed)
    images = len(positives)
    anchor = [
        i * num_anchors + torch.randperm(num_anchors, generator=g)[:n].sort()[0]
        for i, n in enumerate(positives)
    ]
    anchor = torch.cat(anchor) if anchor else torch.zeros(0, dtype=torch.int64)
    image = torch.arange(images).repeat_interleave(torch.tensor(positives, dtype=torch.int64))
    targets = Targets(
        boxes=torch.tensor([0.0, 0, 10, 10]).repeat(len(anchor), 1),
        labels=torch.zeros(len(anchor), dtype=torch.int64),
        image=image,
        batch_size=images,
    )
    free = torch.tensor([i for i in ignored if i not in anchor.tolist()], dtype=torch.int64)
    assignment = Assignment(
        anchor=anchor,
        target=torch.arange(len(anchor)),
        num_anchors=num_anchors,
        targets=targets,
        ignored=free,
    )
    shape = (images, num_anchors)
    return assignment, torch.rand(shape, generator=g), torch.rand(shape, generator=g) * 0.5


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@every
def test_indices_are_valid_unique_and_ascending(sampler):
    assignment, loss, iou = batch([5, 0, 11, 1], ignored=range(0, 160, 7))
    sample = sampler(assignment, loss, iou, seeded())
    for index in (sample.positive, sample.negative):
        assert index.dtype == torch.int64
        assert (index[1:] > index[:-1]).all()
    assert sample.positive.numel() == 0 or sample.positive.max() < len(assignment)
    background = assignment.background().flatten()
    assert background[sample.negative].all()
    assert len(sample) == len(sample.positive) + len(sample.negative)


@every
def test_batch_is_one_by_one_in_numbers_and_chance_is_not_needed_for_losses(sampler):
    sizes = [5, 0, 11, 1, 40]
    assignment, loss, iou = batch(sizes)
    sample = sampler(assignment, loss, iou, seeded())
    for i in range(5):
        of_image = (assignment.image == i).nonzero()[:, 0]
        image = Targets(
            boxes=assignment.targets.boxes[of_image],
            labels=assignment.targets.labels[of_image],
            image=torch.zeros_like(of_image),
            batch_size=1,
        )
        alone = Assignment(
            anchor=assignment.anchor[of_image] - i * 40,
            target=torch.arange(len(of_image)),
            num_anchors=40,
            targets=image,
        )
        single = sampler(alone, loss[i : i + 1], iou[i : i + 1], seeded())
        positive = sample.positive[assignment.image[sample.positive] == i]
        negative = sample.negative[sample.negative // 40 == i] - 40 * i
        assert len(positive) == len(single.positive)
        assert len(negative) == len(single.negative)
        if isinstance(sampler, (All, HardNegatives, OHEM)):
            assert torch.equal(of_image[single.positive], positive)
            assert torch.equal(single.negative, negative)


@every
def test_the_same_generator_state_gives_the_same_sample(sampler):
    assignment, loss, iou = batch([9, 0, 20])
    first, again = (sampler(assignment, loss, iou, seeded(3)) for _ in range(2))
    assert torch.equal(first.positive, again.positive)
    assert torch.equal(first.negative, again.negative)


@every
def test_empty_batch_no_anchors_left_no_positives(sampler):
    assignment, loss, iou = batch([])
    sample = sampler(assignment, loss, iou, seeded())
    assert len(sample) == 0
    assignment, loss, iou = batch([40, 40])  # every anchor positive
    assert len(sampler(assignment, loss, iou, seeded()).negative) == 0
    assignment, loss, iou = batch([0, 0], ignored=range(80))  # every anchor ignored
    assert len(sampler(assignment, loss, iou, seeded())) == 0
    assignment, loss, iou = batch([0, 0], num_anchors=0)
    assert len(sampler(assignment, loss, iou, seeded())) == 0


@every
def test_several_pairs_of_one_anchor_and_no_argument_mutated(sampler):
    assignment, loss, iou = batch([3, 2])
    doubled = Assignment(
        anchor=assignment.anchor[[0, 0, 1, 2, 3, 3, 4]],
        target=assignment.target[[0, 1, 1, 2, 3, 4, 4]],
        num_anchors=40,
        targets=assignment.targets,
    )
    kept = loss.clone(), iou.clone(), doubled.anchor.clone()
    sample = sampler(doubled, loss.requires_grad_(), iou, seeded())
    assert not doubled.background().flatten()[doubled.anchor[sample.positive]].any()
    assert not sample.positive.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(kept, (loss, iou, doubled.anchor)))


@every
def test_missing_or_misshapen_arguments_are_named(sampler):
    assignment, loss, iou = batch([3, 2])
    needs = {"HardNegatives": "loss", "OHEM": "loss", "IoUBalancedNegatives": "iou"}
    name = needs.get(type(sampler).__name__)
    if name is None:
        sampler(assignment)
        return
    with pytest.raises(ValueError, match=name):
        sampler(assignment)
    with pytest.raises(ValueError, match=name):
        sampler(assignment, loss[:, :5], iou[:, :5])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
    st.integers(0, 60),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_random_sample_counts(positives, size, share, seed):
    assignment, loss, iou = batch(positives, num_anchors=30, seed=seed)
    for sampler in (
        RandomSample(size=size, positive_share=share),
        IoUBalancedNegatives(size=size, positive_share=share, floor=0.2, floor_fraction=0.5),
        OHEM(size=size, positive_share=share),
    ):
        sample = sampler(assignment, loss, iou, seeded(seed))
        taken = torch.bincount(assignment.image[sample.positive], minlength=len(positives))
        others = torch.bincount(sample.negative // 30, minlength=len(positives))
        for i, n in enumerate(positives):
            assert taken[i] == min(n, int(size * share))
            assert others[i] == min(30 - n, size - int(taken[i]))
