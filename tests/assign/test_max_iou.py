"""MaxIoU: on paper, against the dense rule, and against torchvision's Matcher."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import max_iou, outcome, per_image
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from kedge import Free, Grid, Level, Targets
from kedge.assign import MaxIoU


def by_hand(low_quality: str, positive: float = 0.7, negative: float = 0.3) -> list[int]:
    """Two objects, three anchors, IoU as in the example of PEERS: .9 .1 .2 and .8 .3 .1, about."""
    # object 0 is 0 to 100, object 1 is 11 to 111 (in x); anchor 0 is 5 to 105: .905 and .887
    anchors = torch.tensor([[5.0, 0, 105, 100], [78, 0, 178, 100], [-66, 0, 34, 100]])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 100, 100], [11, 0, 111, 100]])}])
    assign = MaxIoU(positive=positive, negative=negative, low_quality=low_quality)
    return assign(Free(anchors), targets).dense()[0].tolist()


def test_by_hand_the_rescued_anchor_and_its_own_best():
    # IoU: anchor 0 with object 0 95/105, with object 1 94/106: object 0 is its best;
    # it is the best anchor of both objects, so both rescue it
    assert by_hand("own") == [0, -1, -1]
    assert by_hand("rescuer") == [1, -1, -1]  # the later object overwrites
    assert by_hand("none") == [0, -1, -1]
    # anchor 1 with object 1: 33/167 = .198, anchor 2 with object 0: 34/166 = .205: ignored from .19
    assert by_hand("own", negative=0.19) == [0, -2, -2]


def test_an_object_that_touches_nothing_rescues_nothing():
    grid = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)])])
    box = torch.tensor([[100.0, 100, 110, 110]])
    got = MaxIoU()(grid, Targets.from_list([{"boxes": box}]))
    assert outcome(got) == ([], set())
    peer = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(box, grid.boxes()))
    assert peer.tolist() == [0] * 6  # there every anchor becomes positive


def test_a_poor_best_below_the_least_rescues_nothing():
    grid = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 2, 10]])}])  # IoU .2
    for least, want in ((0.0, [0]), (0.3, [])):
        assign = MaxIoU(low_quality="rescuer", min_low_quality=least)
        assert assign(grid, targets).anchor.tolist() == want


@settings(max_examples=80, deadline=None)
@given(
    scenes(crowds=False),
    st.sampled_from([(0.5, 0.4), (0.7, 0.3), (0.5, 0.5), (0.2, 0.0), (0.1, 0.1)]),
    st.sampled_from(["own", "rescuer", "none"]),
    st.booleans(),
)
def test_equals_the_dense_rule(scene, thresholds, low_quality, free):
    grid, targets = scene
    want = per_image(
        targets, grid, lambda boxes, _: max_iou(grid.boxes(), boxes, *thresholds, low_quality)
    )
    assign = MaxIoU(positive=thresholds[0], negative=thresholds[1], low_quality=low_quality)
    anchors = Free(grid.boxes()) if free else grid
    got = outcome(assign(anchors, targets))
    if thresholds[1] == 0:  # IoU 0 is not below 0, but an anchor that touches nothing is background
        touched = set(grid.overlapping(targets, 0.0).anchor.tolist())
        want = want[0], want[1] & touched
    assert got == want


@pytest.mark.parametrize("low_quality", ["own", "none"])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_as_torchvision(low_quality, seed):
    rng = torch.Generator().manual_seed(seed)
    levels = [
        Level(stride=s, shapes=[(4.0 * s, 4.0 * s), (5.6 * s, 2.8 * s), (2.8 * s, 5.6 * s)])
        for s in (8, 16, 32)
    ]
    grid = Grid((160, 256), levels)
    corner = torch.rand(15, 2, generator=rng) * torch.tensor([220, 130])
    box = torch.cat([corner, corner + 3 + 90 * torch.rand(15, 2, generator=rng)], 1)
    got = MaxIoU(low_quality=low_quality)(grid, Targets.from_list([{"boxes": box}]))
    peer = Matcher(0.5, 0.4, allow_low_quality_matches=low_quality == "own")
    assert torch.equal(got.dense()[0], peer(box_iou(box, grid.boxes())))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"positive": 0.3}, "negative <= positive"),
        ({"positive": 0, "negative": 0}, "positive > 0"),
        ({"low_quality": "torchvision"}, "low_quality is"),
    ],
)
def test_settings_are_checked(bad, message):
    with pytest.raises(ValueError, match=message):
        MaxIoU(**bad)
