"""What is counted in place of a rule that reads predictions, against what the rule chooses."""

import pytest
from contracts.test_assigners import EVERY, make_grid, pack, predict, random_boxes

from kedge.assign import PAA, AutoAssign, Hungarian
from kedge.assign.predictions_read import needs_predictions
from kedge.doctor.counting import SHARING, Candidates, candidates, takes_others

READ = [rule for rule in EVERY if needs_predictions(rule, make_grid())]


def scenes():
    """Small objects, many of which hold no centre, and large ones; an image has none."""
    for seed in range(6):
        small = random_boxes(8, seed, side=(1.0, 12.0))
        yield seed, pack(small, [], random_boxes(9, 50 + seed, side=(2.0, 90.0)), crowd=(3,))


@pytest.mark.parametrize("rule", READ, ids=repr)
def test_what_a_rule_chooses_is_among_its_candidates(rule):
    """Every object that gets an anchor has a candidate, and the anchors are such, whatever is
    predicted; but for what is another's candidate, or for a rule that asks all anchors."""
    grid, chosen = make_grid(), 0
    for seed, targets in scenes():
        pairs = candidates(rule, grid, targets)
        known = set(zip(pairs.anchor.tolist(), pairs.target.tolist()))
        found = rule(grid, targets, predict(grid, targets.batch_size, seed))
        for pair in zip(found.anchor.tolist(), found.target.tolist()):
            chosen += 1
            if takes_others(rule):
                continue
            if isinstance(rule, Hungarian):  # one that is nearest stands for all
                assert pair[1] in {target for _, target in known}
            else:
                assert pair in known
    assert chosen > 20


@pytest.mark.parametrize("rule", READ, ids=repr)
def test_an_anchor_counts_once_unless_objects_share_it(rule):
    for _, targets in scenes():
        found = Candidates(rule=rule)(make_grid(), targets)
        twice = len(found.anchor) - len(found.anchor.unique())
        assert twice == 0 or isinstance(rule, SHARING)
        assert not targets.ignore[found.target].any()


def test_of_boxes_that_hold_no_centre():
    """By hand: centres stand at 4, 12 ... at 8, 24 ... and at 16, 48 ... A box from 9 to 11 holds
    none; its IoU with an anchor of 24 px is 4 / 576, far below PAA's 0.1, but that is its best."""
    targets, grid = pack([[9, 9, 11, 11]]), make_grid()
    assert len(candidates(AutoAssign(), grid, targets)) == 0
    assert len(candidates(AutoAssign(force_k=1), grid, targets)) > 0
    best = candidates(PAA(), grid, targets)
    assert len(best) > 0
    assert best.iou().tolist() == pytest.approx([4 / 576] * len(best))
