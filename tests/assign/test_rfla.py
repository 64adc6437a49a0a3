"""RFLA: on paper, and against the dense rule."""

import pytest
import torch
from assign.rules import outcome, per_image, rfd_matrix, rfla

from kedge import Grid, Level, Targets
from kedge.assign import RFLA
from kedge.boxes import rfd


def test_the_similarity_is_the_catalogues():
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10], [0, 0, 4, 4], [2, 2, 12, 7]])
    b = torch.tensor([[5.0, 5, 15, 15], [0, 0, 10, 10], [10, 0, 14, 4], [0, 0, 10, 10]])
    want = [0.5, 0.433491, 0.074074, 0.712684]  # section 8
    assert rfd(a, b).tolist() == pytest.approx(want, abs=1e-6)
    assert rfd_matrix(a, b).diagonal().tolist() == pytest.approx(want, abs=1e-6)


def test_by_hand_three_then_one_of_smaller_fields():
    # fields of 10 x 10 on a row; the object is 10 x 10 at 27 to 37, centre 32
    grid = Grid((10, 80), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[27.0, 0, 37, 10]])}])
    # centres 35, 25, 45 are 3, 7, 13 px away: KL = 2 (d / 10)^2 = .18, .98, 3.38
    # similarity 1 / (1 + KL) = .847, .505, .228, then .142 (15 is 17 px away)
    assert outcome(RFLA(second=0)(grid, targets)) == ([(2, 0), (3, 0), (4, 0)], set())
    assert outcome(RFLA(first=2)(grid, targets)) == ([(2, 0), (3, 0)], set())
    # with one in round one, round two's best is the same anchor, so nothing is added
    assert outcome(RFLA(first=1)(grid, targets)) == ([(3, 0)], set())
    # at a threshold of .5 the second is not background but ignored
    assert outcome(RFLA(first=1, ignore_above=0.5)(grid, targets)) == ([(3, 0)], {2})


def test_round_two_consoles_an_object_that_was_overwritten():
    grid = Grid((10, 40), [Level(stride=10, shapes=[(10, 10), (5, 5)])])
    box = torch.tensor([[10.0, 0, 20, 10], [11, 0, 21, 10]])
    targets = Targets.from_list([{"boxes": box}])
    # both want anchor 2 (10 x 10 at 15) first, and the second object takes it
    assert outcome(RFLA(first=1, second=0)(grid, targets))[0] == [(2, 1)]
    # shrunk to .4 the fields are 4 and 2 px wide, and anchor 2 is still the best: taken
    assert outcome(RFLA(first=1, second=1, shrink=0.4)(grid, targets))[0] == [(2, 1)]
    # the two best of round two: anchor 3 is free
    got = outcome(RFLA(first=1, second=2)(grid, targets))[0]
    assert got == [(2, 1), (3, 1)]


def random_fields(seed):
    """A grid of one square a cell, and objects in general position: on whole pixels many tie."""
    rng = torch.Generator().manual_seed(seed)
    size = torch.randint(60, 200, (2,), generator=rng).tolist()
    levels = [
        Level(stride=s, shapes=[(f, f)], offset=float(torch.rand(1, generator=rng)))
        for s, f in ((4, 17.5), (8, 45.5), (16, 133.5))
    ]
    batch = []
    for count in (6, 0, 3):
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([size[1], size[0]]) - 10
        side = 2 + 60 * torch.rand(count, 2, generator=rng) ** 2
        batch.append({"boxes": torch.cat([corner, corner + side], 1)})
    return Grid((size[0], size[1]), levels), Targets.from_list(batch)


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_dense_rule(seed):
    grid, targets = random_fields(seed)
    assign = RFLA(ignore_above=0.6)
    want = per_image(targets, grid, lambda boxes, _: rfla(grid.boxes(), boxes, 3, 1, 0.9, 0.6))
    assert outcome(assign(grid, targets)) == want


def test_the_callers_anchors_are_not_shrunk():
    grid = Grid((30, 30), [Level(stride=10, shapes=[(10, 10)])])
    before = grid.boxes().clone()
    RFLA()(grid, Targets.from_list([{"boxes": torch.tensor([[3.0, 3, 9, 9]])}]))
    assert torch.equal(grid.boxes(), before)


@pytest.mark.parametrize(
    "bad", [{"first": 0}, {"second": -1}, {"shrink": 0}, {"ignore_above": 1.5}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="RFLA"):
        RFLA(**bad)
