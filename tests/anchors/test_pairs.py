"""Segment operations on pairs: per target, per anchor, and the outcome."""

import pytest
import torch
from anchors.scenes import scenes
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Grid, Level, Targets
from kedge.anchors import Pairs
from kedge.anchors.queries.table import tables
from kedge.anchors.segments import first_largest
from kedge.assign.shared import candidates
from kedge.assign.shared.candidates import with_more

FEW = settings(max_examples=80, deadline=None)
ODD = (0.0, -0.0, 0.5, -2.0, float("inf"), -float("inf"))
GRID = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)])])  # six anchors


def pairs_of(anchor: list[int], target: list[int], images: list[int] | None = None) -> Pairs:
    """Pairs as given, over four targets of one image (or of ``images``)."""
    image = torch.tensor(images or [0, 0, 0, 0])
    boxes = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [5, 5, 25, 15]])
    targets = Targets(
        boxes=boxes,
        labels=torch.arange(4),
        image=image,
        batch_size=int(image.max()) + 1,
    )
    return Pairs(
        anchors=GRID, targets=targets, anchor=torch.tensor(anchor), target=torch.tensor(target)
    )


def test_statistics_by_hand():
    # five IoUs of one target, one of another, none of the other two; CATALOGUE section 8
    pairs = pairs_of([0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 2])
    value = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.7], dtype=torch.float64)
    assert pairs.count_per_target().tolist() == [5, 0, 1, 0]
    assert pairs.mean_per_target(value).tolist() == pytest.approx([0.3, 0, 0.7, 0])
    mean, std = pairs.mean_and_std_per_target(value)
    assert torch.equal(mean, pairs.mean_per_target(value))
    assert std.tolist() == pytest.approx([0.025**0.5, 0, 0, 0])
    threshold = mean + std
    assert float(threshold[0]) == pytest.approx(0.458114, abs=1e-6)  # biased it would be 0.441421
    assert pairs.max_per_target(value).tolist() == [0.5, -torch.inf, 0.7, -torch.inf]
    assert pairs.min_per_target(value).tolist() == [0.1, torch.inf, 0.7, torch.inf]
    assert pairs.sum_per_target(value).tolist() == pytest.approx([1.5, 0, 0.7, 0])


def test_top_per_target_breaks_ties_by_the_lowest_anchor():
    pairs = pairs_of([5, 4, 3, 0, 2, 1], [0, 0, 0, 1, 1, 1])
    value = torch.tensor([1.0, 1, 1, 5, 6, 7])
    assert pairs.top_per_target(value, 2).tolist() == [False, True, True, False, True, True]
    smallest = pairs.top_per_target(value, 1, largest=False)
    assert smallest.tolist() == [False, False, True, True, False, False]
    each = torch.tensor([0, 9, 1, 1])  # none of the first target, all of the second
    assert pairs.top_per_target(value, each).tolist() == [False] * 3 + [True] * 3


def test_best_target_per_anchor_breaks_ties_by_the_lowest_target():
    pairs = pairs_of([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2])
    by = torch.tensor([0.2, 0.5, 0.1, 0.9, 0.5, 0.9])
    best = pairs.best_target_per_anchor(by=by)
    assert sorted(zip(best.anchor.tolist(), best.target.tolist())) == [(0, 1), (1, 0), (2, 0)]
    last = pairs.last_target_per_anchor()
    assert sorted(zip(last.anchor.tolist(), last.target.tolist())) == [(0, 2), (1, 1), (2, 0)]


def test_max_per_anchor_is_the_same_with_and_without_a_table_of_all_anchors(monkeypatch):
    pairs = pairs_of([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2])
    by = torch.tensor([0.2, 0.5, 0.1, 0.9, 0.6, 0.9])
    whole = pairs.max_per_anchor(by)
    assert torch.equal(whole, torch.tensor([0.9, 0.6, 0.1, 0.9, 0.6, 0.9]))
    monkeypatch.setattr("kedge.anchors.segments.TABLE", 0)
    monkeypatch.setattr("kedge.anchors.grid.Grid._length", 10**9, raising=False)
    assert torch.equal(pairs.max_per_anchor(by), whole)


@FEW
@given(scenes())
def test_segments_equal_a_loop_over_the_targets(scene):
    grid, targets = scene
    pairs = grid.overlapping(targets, 0.02)
    value = pairs.iou()
    top = pairs.top_per_target(value, 3)
    mean, std = pairs.mean_and_std_per_target(value)
    for i in range(len(targets)):
        own = pairs.target == i
        if not own.any():
            assert (float(mean[i]), float(std[i])) == (0, 0)
            continue
        assert float(mean[i]) == pytest.approx(float(value[own].mean()), abs=1e-6)
        if own.sum() > 1:
            assert float(std[i]) == pytest.approx(float(value[own].std()), abs=1e-5)
        order = sorted(zip((-value[own]).tolist(), pairs.anchor[own].tolist()))[:3]
        assert sorted(pairs.anchor[own & top].tolist()) == sorted(a for _, a in order)


@FEW
@given(scenes())
def test_best_target_per_anchor_equals_a_loop_over_the_anchors(scene):
    grid, targets = scene
    pairs = grid.overlapping(targets, 0.02)
    want = {}
    for anchor, target, value in zip(
        *(v.tolist() for v in (pairs.anchor, pairs.target, pairs.iou()))
    ):
        want[anchor] = min(want.get(anchor, (0.0, 0)), (-value, target))
    best = pairs.best_target_per_anchor(by=pairs.iou())
    got = dict(zip(best.anchor.tolist(), best.target.tolist()))
    assert len(best) == len(want)
    assert got == {anchor: target for anchor, (_, target) in want.items()}


def test_geometry_of_pairs_by_hand():
    pairs = pairs_of([0, 4], [0, 3])
    assert pairs.boxes().tolist() == [[0, 0, 10, 10], [10, 10, 20, 20]]
    assert pairs.target_boxes().tolist() == [[0, 0, 10, 10], [5, 5, 25, 15]]
    assert pairs.points().tolist() == [[5, 5], [15, 15]]
    assert pairs.iou().tolist() == pytest.approx([1, 50 / 250])
    assert pairs.labels().tolist() == [0, 3]
    assert pairs.level().tolist() == [0, 0]
    assert pairs.stride().tolist() == [[10, 10], [10, 10]]
    assert pairs.centre_inside().tolist() == [True, False]  # (15, 15) is on the edge
    assert pairs.centre_inside(margin=-1).tolist() == [True, True]


def test_select_keeps_the_iou_that_was_computed():
    targets = pairs_of([0], [0]).targets
    found = GRID.overlapping(targets, 0.1)
    kept = found.select(found.iou() > 0.5)
    assert torch.equal(kept.iou(), found.iou()[found.iou() > 0.5])
    assert kept._iou is not None


def test_join_orders_by_target():
    first, second = pairs_of([0, 1], [0, 2]), pairs_of([2], [1])
    both = first.join(second)
    assert both.anchor.tolist() == [0, 2, 1]
    assert both.target.tolist() == [0, 1, 2]


def test_an_assignment_ignores_what_a_crowd_covers_but_not_positives():
    crowd = torch.tensor([[0.0, 0, 20, 10]])  # over anchors 0 and 1
    targets = Targets.from_list(
        [
            {
                "boxes": torch.cat([torch.tensor([[0.0, 0, 10, 10]]), crowd]),
                "iscrowd": torch.tensor([0, 1]),
            }
        ]
    )
    chosen = GRID.overlapping(targets, 0.5)
    assert chosen.anchor.tolist() == [0]
    result = chosen.assignment(ignored=torch.tensor([5, 5]))
    assert result.ignored.tolist() == [1, 5]
    assert result.dense().tolist() == [[0, -2, -1, -1, -1, -2]]


def test_no_pairs_at_all():
    pairs = pairs_of([0], [0])
    none = pairs.select(torch.tensor([False]))
    value = torch.zeros(0)
    assert none.mean_and_std_per_target(value)[1].tolist() == [0, 0, 0, 0]
    assert none.top_per_target(value, 3).tolist() == []
    assert len(none.best_target_per_anchor(by=value)) == 0
    assert none.assignment().dense().tolist() == [[-1] * 6]


@pytest.mark.parametrize("always", [True, False], ids=["table", "search"])
@given(scene=scenes(), floor=st.sampled_from([0.05, 0.4, 0.95]))
@FEW
def test_the_best_anchors_are_those_that_a_search_finds(always, scene, floor):
    """Where an object has a pair it is read off, where it has none it is looked for."""
    grid, targets = scene
    with tables(always):
        near, wanted = grid.overlapping(targets, floor), grid.best(targets)
        found, others = near.best_anchors()
    found = found if others is None else found.join(others)
    assert found.targets is targets
    assert torch.equal(found.target, found.target.sort().values)
    got = sorted(zip(found.target.tolist(), found.anchor.tolist(), found.iou().tolist()))
    assert got == sorted(zip(wanted.target.tolist(), wanted.anchor.tolist(), wanted.iou().tolist()))
    has = set(near.target.tolist())
    empty = [g for g in range(len(targets)) if g not in has and not targets.ignore[g]]
    assert near.without_any().nonzero()[:, 0].tolist() == empty


@given(scene=scenes(), floor=st.sampled_from([0.1, 0.5]))
@FEW
def test_more_pairs_are_joined_in_a_table_as_by_sorting(scene, floor):
    grid, targets = scene
    pairs, more = grid.inside(targets), grid.overlapping(targets, floor)
    found, old = with_more(pairs, more.anchor, more.target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "fits_a_table", lambda *given: False)
        wanted, mark = with_more(pairs, more.anchor, more.target)
    assert torch.equal(found.anchor, wanted.anchor)
    assert torch.equal(found.target, wanted.target)
    assert torch.equal(old, mark)
    own = set(zip(pairs.target.tolist(), pairs.anchor.tolist()))
    both = sorted(own | set(zip(more.target.tolist(), more.anchor.tolist())))
    assert list(zip(found.target.tolist(), found.anchor.tolist())) == both
    assert [pair in own for pair in both] == old.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ODD), st.integers(0, 9))))
@FEW
def test_the_first_largest_of_every_segment(dtype, rows):
    """Zeros are equal whatever their sign."""
    segment = torch.tensor([s for s, _, _ in rows], dtype=torch.int64)
    values = torch.tensor([v for _, v, _ in rows], dtype=dtype)
    order = torch.tensor([o for _, _, o in rows], dtype=torch.int64)
    best = {own: max((v + 0.0, -o) for s, v, o in rows if s == own) for own, _, _ in rows}
    wanted = [(value + 0.0, -place) == best[own] for own, value, place in rows]
    assert first_largest(values, order, segment, 4).tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_a_number_wins_no_anchor(dtype):
    pairs = pairs_of([0, 0, 1, 2, 2], [0, 1, 1, 2, 3])
    value = torch.tensor([torch.nan, 1, torch.nan, 2, 2], dtype=dtype)
    assert pairs.wins_anchor(value).tolist()[2:] == [False, True, False]
    assert not pairs.wins_anchor(value)[0]
