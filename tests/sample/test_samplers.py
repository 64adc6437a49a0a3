"""Every sampler by hand, and against a plain loop."""

import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from kedge.sample import OHEM, All, HardNegatives, IoUBalancedNegatives, RandomSample
from kedge.sample.sampler import top_per_row
from kedge.types import Assignment, Targets


def assignment(anchor, num_anchors, images=1, ignored=()):
    anchor = torch.tensor(anchor, dtype=torch.int64)
    image = anchor // num_anchors
    targets = Targets(
        boxes=torch.tensor([0.0, 0, 8, 4]).repeat(len(anchor), 1),
        labels=torch.zeros(len(anchor), dtype=torch.int64),
        image=image,
        batch_size=images,
    )
    return Assignment(
        anchor=anchor,
        target=torch.arange(len(anchor)),
        num_anchors=num_anchors,
        targets=targets,
        ignored=torch.tensor(ignored, dtype=torch.int64),
    )


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_all_leaves_out_the_ignored_only():
    sample = All()(assignment([1, 6], 4, images=2, ignored=[2, 7]))
    assert sample.positive.tolist() == [0, 1]
    assert sample.negative.tolist() == [0, 3, 4, 5]


def test_random_sample_counts_equal_torchvision():
    theirs = BalancedPositiveNegativeSampler(16, 0.5)
    for positives in (0, 3, 8, 20, 60):
        labels = torch.zeros(64)
        labels[:positives] = 1
        their_positive, their_negative = theirs([labels])
        sample = RandomSample(size=16)(assignment(list(range(positives)), 64))
        assert len(sample.positive) == int(their_positive[0].sum())
        assert len(sample.negative) == int(their_negative[0].sum())


def test_random_sample_bounds_negatives_per_positive():
    a = assignment([0, 1, 40], 40, images=3)
    sample = RandomSample(size=30, max_negatives=3.0)(a, generator=seeded())
    assert torch.bincount(sample.negative // 40, minlength=3).tolist() == [6, 3, 3]


def test_random_sample_is_uniform():
    a = assignment([0, 1, 2, 3], 12)
    drawn, g = torch.zeros(12), seeded()
    for _ in range(2000):
        sample = RandomSample(size=4)(a, generator=g)
        drawn[sample.negative] += 1
        drawn[a.anchor[sample.positive]] += 1
    # 2 of 4 positives, 2 of 8 negatives each time; five standard deviations of slack
    torch.testing.assert_close(drawn[:4] / 2000, torch.full((4,), 0.5), atol=0.056, rtol=0)
    torch.testing.assert_close(drawn[4:] / 2000, torch.full((8,), 0.25), atol=0.049, rtol=0)


def test_hard_negatives_by_hand_three_to_one_per_image():
    # image 0: one positive (loss .99 does not make it a negative) and one ignored; image 1: none
    a = assignment([0], 6, images=2, ignored=[5])
    loss = torch.tensor([[0.99, 0.1, 0.4, 0.3, 0.2, 0.9], [0.5, 0.6, 0.1, 0.2, 0.9, 0.3]])
    sample = HardNegatives(empty_image=2)(a, loss)
    assert sample.positive.tolist() == [0]
    assert sample.negative.tolist() == [2, 3, 4, 6 + 1, 6 + 4]
    assert HardNegatives(empty_image=0)(a, loss).negative.tolist() == [2, 3, 4]
    assert HardNegatives(ratio=1.0, empty_image=0)(a, loss).negative.tolist() == [2]


def test_ohem_by_hand():
    a = assignment([0, 1], 6)
    loss = torch.tensor([[0.1, 0.8, 0.7, 0.9, 0.2, 0.3]])
    sample = OHEM(size=3)(a, loss)
    assert (sample.positive.tolist(), sample.negative.tolist()) == ([1], [2, 3])
    sample = OHEM(size=4, positive_share=0.25)(a, loss)
    assert (sample.positive.tolist(), sample.negative.tolist()) == ([1], [2, 3, 5])


def test_iou_balanced_by_hand():
    # 30 negatives near 0, three near .2, three near .4 (bins of width .15): 2 of each
    iou = torch.cat((torch.full((30,), 0.01), torch.full((3,), 0.2), torch.full((3,), 0.45)))[None]
    a = assignment([], 36)
    for seed in range(5):
        sample = IoUBalancedNegatives(size=6)(a, iou=iou, generator=seeded(seed))
        group = torch.bucketize(sample.negative, torch.tensor([29, 32]))
        assert torch.bincount(group).tolist() == [2, 2, 2]
    # 12 wanted, 4 a bin: the two small bins give all they have, the rest comes from the large one
    sample = IoUBalancedNegatives(size=12)(a, iou=iou, generator=seeded())
    assert torch.bincount(torch.bucketize(sample.negative, torch.tensor([29, 32]))).tolist() == [
        6,
        3,
        3,
    ]


def test_iou_balanced_floor():
    iou = torch.cat((torch.zeros(30), torch.full((6,), 0.3), torch.full((6,), 0.4)))[None]
    a = assignment([], 42)
    half = IoUBalancedNegatives(size=8, bins=2, floor=0.0, floor_fraction=0.5)
    sample = half(a, iou=iou, generator=seeded())
    assert (sample.negative < 30).sum() == 4
    none = IoUBalancedNegatives(size=8, bins=2, floor=0.1)
    assert (none(a, iou=iou, generator=seeded()).negative >= 30).all()
    # not enough above the floor: filled from below
    assert (
        len(IoUBalancedNegatives(size=20, floor=0.1)(a, iou=iou, generator=seeded()).negative) == 20
    )


def test_top_per_row_against_a_loop_with_ties_and_odd_values():
    g = seeded(1)
    for _ in range(20):
        keys = torch.randint(0, 6, (5, 30), generator=g).float()
        keys[0, 3], keys[1, 4], keys[2, 5] = torch.nan, torch.inf, -torch.inf
        candidates = torch.rand(5, 30, generator=g) > 0.4
        k = torch.randint(0, 25, (5,), generator=g)
        mask = top_per_row(keys, candidates, k)
        for row in range(5):
            value = keys[row].nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
            order = sorted(candidates[row].nonzero()[:, 0].tolist(), key=lambda j: (-value[j], j))
            assert mask[row].nonzero()[:, 0].tolist() == sorted(order[: int(k[row])])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RandomSample(size=-1),
        lambda: RandomSample(positive_share=1.5),
        lambda: HardNegatives(ratio=-1.0),
        lambda: OHEM(positive_share=2.0),
        lambda: IoUBalancedNegatives(bins=0),
        lambda: IoUBalancedNegatives(floor_fraction=-0.1),
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match="must"):
        wrong()
