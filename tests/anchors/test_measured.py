"""NWD, SimD and GCD in the place of IoU: the queries against the dense form, and the rules."""

import copy

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import best_labels, from_labels, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Free, Grid, Level, Targets
from kedge.anchors import ByGCD, ByNWD, BySimD
from kedge.assign import ATSS, MaxIoU, SSDMatch
from kedge.boxes import gcd, nwd, simd

FEW = settings(max_examples=25, deadline=None)


BY = {ByNWD: nwd, BySimD: simd, ByGCD: gcd}
each = pytest.mark.parametrize("kind", BY, ids=lambda kind: kind.__name__)


def matrix(grid: Grid, boxes: torch.Tensor, kind=ByNWD) -> torch.Tensor:
    return BY[kind](grid.boxes()[:, None], boxes[None])


def ids(pairs):
    return sorted(zip(pairs.anchor.tolist(), pairs.target.tolist()))


def chosen(grid, targets, mask):
    index, target = (mask & ~targets.ignore).nonzero(as_tuple=True)
    return sorted(zip((targets.image[target] * len(grid) + index).tolist(), target.tolist()))


def test_by_hand():
    # CATALOGUE section 8: (0, 0, 10, 10) with (5, 5, 15, 15) is .575551
    grid = Grid((10, 30), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[5.0, 5, 15, 15]])}])
    pairs = ByNWD(grid).overlapping(targets, 0.5)
    # centres 5 and 15 px: 7.07 px away both; 25 is 15.8 px away: exp(-1.235) = .29
    assert pairs.anchor.tolist() == [0, 1]
    assert pairs.iou().tolist() == pytest.approx([0.575551] * 2, abs=1e-6)
    assert sorted(ByNWD(grid).best(targets).anchor.tolist()) == [0, 1]


def test_by_hand_simd_and_gcd():
    grid = Grid((10, 30), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[5.0, 0, 15, 10]])}])
    # centres 5, 15 and 25 px; the object's is 10: 5, 5 and 15 px away, sides of 10 px throughout
    by_simd, by_gcd = BySimD(grid).overlapping(targets, 0.2), ByGCD(grid).overlapping(targets, 0.6)
    assert by_simd.anchor.tolist() == by_gcd.anchor.tolist() == [0, 1]
    assert by_simd.iou().tolist() == pytest.approx([0.215995] * 2, abs=1e-6)  # exp(-6.13 * 5 / 20)
    assert by_gcd.iou().tolist() == pytest.approx([0.606531] * 2, abs=1e-6)  # exp(-5 / 10)
    assert len(ByGCD(grid).overlapping(targets, 0.22)) == 3  # exp(-15 / 10) = .22313
    assert len(BySimD(grid, m=3.0).overlapping(targets, 0.1)) == 3  # exp(-3 * 15 / 20) = .1054


@each
@FEW
@given(scenes(), st.sampled_from([0.05, 0.3, 0.6, 0.9, 1.0]))
def test_overlapping_equals_the_dense_matrix(kind, scene, threshold):
    grid, targets = scene
    value = matrix(grid, targets.boxes, kind)
    pairs = kind(grid).overlapping(targets, threshold)
    assert ids(pairs) == chosen(grid, targets, value >= threshold)
    assert torch.equal(pairs.iou(), value[grid.local(pairs.anchor), pairs.target])


@each
@FEW
@given(scenes(), st.integers(0, 2**31))
def test_among_with_a_floor_of_its_own(kind, scene, seed):
    grid, targets = scene
    rng = torch.Generator().manual_seed(seed)
    total = len(grid) * targets.batch_size
    among = torch.randperm(total, generator=rng)[: total // 2 + 1]
    floor = 0.05 + 0.9 * torch.rand(len(among), generator=rng)
    full = torch.full((total,), 2.0).scatter(0, among, floor).view(-1, len(grid))
    mask = matrix(grid, targets.boxes, kind) >= full[targets.image].t()
    got = kind(grid).overlapping(targets, floor, among=among)
    assert ids(got) == chosen(grid, targets, mask)


@each
@FEW
@given(scenes())
def test_best_is_every_anchor_that_ties(kind, scene):
    grid, targets = scene
    value = matrix(grid, targets.boxes, kind)
    top = value.amax(0) if len(targets) else value.new_zeros(0)
    want = chosen(grid, targets, (value == top) & (value > 0))
    assert ids(kind(grid).best(targets)) == want


@settings(max_examples=40, deadline=None)
@given(scenes(crowds=False))
def test_max_iou_over_nwd_is_the_paper_s_assigner(scene):
    grid, targets = scene

    def rule(boxes, _):
        labels = torch.full((len(grid),), -1)
        if len(boxes):
            value = matrix(grid, boxes)
            top, own = value.max(1)
            labels[(top >= 0.3) & (top < 0.7)] = -2
            labels[top >= 0.7] = own[top >= 0.7]
            for i in range(len(boxes)):
                tied = (value[:, i] == value[:, i].max()) & (value[:, i] > 0)
                labels[tied] = own[tied]
        return from_labels(labels)

    got = MaxIoU(positive=0.7, negative=0.3)(ByNWD(grid), targets)
    assert outcome(got) == per_image(targets, grid, rule)


@each
def test_max_iou_by_the_name_of_a_measure(kind):
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10), (14, 7)])])
    boxes = torch.tensor([[12.0, 6, 20, 14], [31, 20, 44, 29]])
    targets = Targets.from_list([{"boxes": boxes}])
    name, rule = kind.__name__.removeprefix("By").lower(), {"positive": 0.7, "negative": 0.3}
    got = MaxIoU(measure=name, **rule)(grid, targets)
    assert outcome(got) == outcome(MaxIoU(**rule)(kind(grid), targets))
    assert outcome(got) != outcome(MaxIoU(**rule)(grid, targets))
    assert got.anchors is grid


def test_a_measure_is_refused_where_it_cannot_be():
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[12.0, 6, 20, 14]])}])
    with pytest.raises(ValueError, match=r"MaxIoU\(measure='simd'\) needs negative > 0"):
        MaxIoU(measure="simd", negative=0)
    with pytest.raises(ValueError, match=r"MaxIoU\.measure is one of .* got 'ciou'"):
        MaxIoU(measure="ciou")(grid, targets)
    with pytest.raises(ValueError, match=r"MaxIoU\(measure='gcd'\) needs a Grid"):
        MaxIoU(measure="gcd")(Free(grid.boxes()), targets)


def test_a_tiny_object_between_anchors_gets_one_where_iou_gives_none():
    grid = Grid((40, 40), [Level(stride=20, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[18.0, 17, 21, 20]])}])
    assert len(MaxIoU()(grid, targets)) == 0
    assert MaxIoU(positive=0.7, negative=0.3)(ByNWD(grid), targets).anchor.tolist() == [0]
    assert SSDMatch(positive=0.7)(ByNWD(grid), targets).anchor.tolist() == [0]


def test_atss_measures_its_candidates_by_nwd():
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[12.0, 6, 30, 28]])}])
    got = outcome(ATSS(k=9)(ByNWD(grid), targets))[0]
    near = grid.nearest(targets, 9)
    value = nwd(near.boxes(), near.target_boxes())
    keep = (value >= value.mean() + value.std()) & near.centre_inside(0.01)
    assert got == sorted((a, 0) for a in near.anchor[keep].tolist())
    assert best_labels(value[:, None], keep[:, None]).shape == (9,)


def test_the_rest_is_the_grids():
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10)])])
    other = copy.copy(ByNWD(grid, constant=20.0))
    assert (len(other), other.num_levels, other.constant) == (24, 1, 20)
    targets = Targets.from_list([{"boxes": torch.tensor([[12.0, 6, 30, 28]])}])
    for ask in ("inside", "in_cell"):
        got, want = getattr(other, ask)(targets), getattr(grid, ask)(targets)
        assert got.anchor.tolist() == want.anchor.tolist()
        assert torch.equal(got.iou(), nwd(want.boxes(), want.target_boxes(), constant=20.0))


@each
def test_other_shapes_keep_the_settings(kind):
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10)])])
    by = kind(grid, **dict.fromkeys(kind(grid).settings, 3.0))
    moved = by.with_shapes(torch.tensor([[12.0, 7]]))
    assert moved.settings == by.settings
    assert moved.boxes()[0].tolist() == [-1, 1.5, 11, 8.5]


def test_errors():
    grid = Grid((40, 60), [Level(stride=10, shapes=[(10, 10)])])
    with pytest.raises(ValueError, match=r"BySimD\.n must be positive"):
        BySimD(grid, n=-1)
    with pytest.raises(ValueError, match="SimD is positive everywhere"):
        BySimD(grid).overlapping(Targets.from_list([{"boxes": []}]), 0.0)
    with pytest.raises(ValueError, match="constant must be positive"):
        ByNWD(grid, constant=0)
    with pytest.raises(ValueError, match="threshold above 0"):
        ByNWD(grid).overlapping(Targets.from_list([{"boxes": []}]), 0.0)
