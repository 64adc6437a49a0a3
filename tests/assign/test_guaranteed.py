"""Guaranteed: by hand, for every strategy, and where there is no anchor left to give."""

import pytest
import torch
from assign.dense import boxes_grid, ids, points, scene, table
from contracts.test_assigners import EVERY, check, make_grid, pack, predict, random_boxes

from kedge import Free, Grid, Level, Targets
from kedge.assign import MAL, TAL, AutoAssign, Guaranteed, MaxIoU
from kedge.assign.by_name import said, strategy
from kedge.parts import text_of

TINY = [[50.0, 41, 51, 42], [51.0, 41, 52, 42], [10.0, 10, 11.5, 11], [158.0, 94, 160, 96]]


def cells(width: int = 5, shape=(10, 10)) -> Grid:
    return Grid((10, 10 * width), [Level(stride=10, shapes=[shape])])


def given(grid, boxes, **settings):
    rule = Guaranteed(strategy=MaxIoU(low_quality="none", **settings))
    return rule(grid, Targets.from_list([{"boxes": torch.tensor(boxes)}]))


def test_by_hand():
    # the first object is an anchor; the second is 6 px wide: IoU .6 with anchor 3, .1 with 4
    grid = cells()
    got = given(grid, [[10.0, 0, 20, 10], [33.0, 0, 39, 10]], positive=0.9, negative=0.9)
    assert ids(got) == [(1, 0), (3, 1)]
    assert got.weight.tolist() == got.quality.tolist() == [1, 1]
    # nothing inside: of the nearest cells that of the largest IoU, here .2 against .1
    assert ids(given(grid, [[28.0, 0, 31, 10]], positive=0.9)) == [(2, 0)]
    assert ids(given(grid, [[29.0, 0, 32, 10]], positive=0.9)) == [(3, 0)]


def test_an_anchor_that_was_ignored_is_free_and_then_positive():
    got = given(cells(), [[33.0, 0, 39, 10]], positive=0.9, negative=0.5)
    assert ids(got) == [(3, 0)]
    assert got.ignored.tolist() == []


def test_objects_that_want_the_same_anchor_share_as_well_as_can_be():
    # both hold the centre of anchor 2 alone, and the wider fits it better; of its neighbours the
    # other, centred at 25.5 px, is nearer to anchor 3
    boxes = [[21.0, 0, 29, 10], [23.0, 0, 28, 10]]
    assert ids(given(cells(), boxes, positive=0.9)) == [(2, 0), (3, 1)]
    # three objects and two cells: one stays without
    got = given(cells(2), [[1.0, 0, 9, 10], [2.0, 0, 8, 10], [3.0, 0, 7, 10]], positive=0.9)
    assert len(got) == 2
    assert len(got.anchor.unique()) == 2


def test_the_strategy_s_own_positives_are_kept():
    grid = points()
    targets, predictions = scene(grid, 3, side=(2, 12))
    own = TAL()(grid, targets, predictions)
    got = Guaranteed(strategy=TAL())(grid, targets, predictions)
    kept = [pair for pair in ids(got) if pair[1] in set(own.target.tolist())]
    assert kept == ids(own)
    assert len(own.target.unique()) < len(targets) == len(got.target.unique())
    said = table(own, own.quality)
    assert table(got, got.quality) == {pair: said.get(pair, 1.0) for pair in ids(got)}


def test_many_tiny_objects_at_one_place_all_get_one():
    boxes = torch.tensor([50.0, 41, 51, 42]) + torch.rand(60, 1, generator=torch.manual_seed(0))
    grid = make_grid()
    got = Guaranteed(strategy=MaxIoU(low_quality="none"))(grid, pack(boxes))
    assert got.target.tolist() == list(range(60))
    assert len(got.anchor.unique()) == 60


def test_crowds_and_objects_without_area_are_promised_nothing():
    targets = pack([*TINY, [20.0, 20, 20, 30], [60.0, 60, 62, 62]], crowd=(5,))
    got = Guaranteed(strategy=MaxIoU(low_quality="none"))(make_grid(), targets)
    assert got.target.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_every_strategy_leaves_no_object_without(rule):
    grid = make_grid()
    targets = pack([*TINY, *random_boxes(6, 3).tolist()], [], random_boxes(9, 4), crowd=(2,))
    predictions = predict(grid, 3)
    own = rule(grid, targets, predictions)
    got = Guaranteed(strategy=rule)(grid, targets, predictions)
    assert set(got.target.tolist()) == set((~targets.ignore).nonzero()[:, 0].tolist())
    assert (got.likelihood is None) == (own.likelihood is None)
    check(got, grid, targets)


def test_on_a_list_of_boxes():
    grid = boxes_grid()
    targets = pack(TINY[:3])
    got = Guaranteed(strategy=MaxIoU(low_quality="none"))(Free(grid.boxes()), targets)
    want = Guaranteed(strategy=MaxIoU(low_quality="none"))(grid, targets)
    assert len(got.target.unique()) == len(want.target.unique()) == 3


def test_it_follows_the_schedule_and_has_the_parameters_of_its_strategy():
    rule = Guaranteed(strategy=MAL())
    assert rule.at(0.5).strategy == MAL(progress=0.5)
    still = Guaranteed(strategy=TAL())
    assert still.at(0.5) is still
    own = AutoAssign(num_classes=3)
    assert len(list(Guaranteed(strategy=own).parameters())) == len(list(own.parameters())) > 0


def test_by_name():
    assert strategy("tal:k=10,guarantee=true").strategy == TAL(k=10)
    assert strategy({"name": "tal", "guarantee": True}).strategy == TAL()
    assert strategy("tal:guarantee=no") == TAL()
    with pytest.raises(ValueError, match="strategy tal: guarantee: expected true or false"):
        strategy("tal:guarantee=perhaps")


def test_published_names_are_rules_with_settings():
    simd = MaxIoU(
        measure="simd", positive=0.7, negative=0.3, low_quality="rescuer", min_low_quality=0.3
    )
    assert strategy("by_simd") == strategy("By-SimD") == simd
    assert strategy("by_gcd:positive=0.6,guarantee=true").strategy.positive == 0.6
    with pytest.raises(ValueError, match="unknown setting 'positif'"):
        strategy("by_nwd:positif=0.6")


@pytest.mark.parametrize(
    "spec",
    [
        "tal:k=10,beta=4.0",
        "max_iou:positive=0.6,guarantee=true",
        "dw",
        "autoassign",
        "autoassign:num_classes=3,force_k=9",
        "autoassign:box_weight=2.0,guarantee=true",
    ],
)
def test_what_is_said_of_a_rule_makes_it_again(spec):
    rule = strategy(spec)
    assert text_of(said(rule)).lower() == spec
    assert said(object()) is None
