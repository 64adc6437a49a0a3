"""SSDMatch: on paper, against the dense rule, and against torchvision."""

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import outcome, per_image, ssd
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from kedge import Grid, Level, Targets
from kedge.assign import SSDMatch


def row_of_anchors() -> Grid:
    return Grid((10, 40), [Level(stride=10, shapes=[(10, 10)])])


def test_by_hand_two_objects_with_the_same_best_anchor():
    # IoU with anchors 0 and 1: object 0: 10/10 and 0; object 1: (8 to 12) 2 * 10 / 120 with each;
    # object 2 (0 to 9): 9/10 with anchor 0
    box = torch.tensor([[0.0, 0, 10, 10], [8, 0, 12, 10], [0, 0, 9, 10]])
    targets = Targets.from_list([{"boxes": box}])
    # each its own best: anchor 0 is wanted by all three, and the last takes it
    assert outcome(SSDMatch()(row_of_anchors(), targets)) == ([(0, 2)], set())
    # greedy: 1.0 for object 0; object 2 touches nothing else; object 1 takes anchor 1
    got = SSDMatch(first="greedy")(row_of_anchors(), targets)
    assert outcome(got) == ([(0, 0), (1, 1)], set())


def test_the_least_iou_of_a_greedy_match():
    # 6 px of the object lie in the image: IoU 60/140 with anchor 3
    targets = Targets.from_list([{"boxes": torch.tensor([[34.0, 0, 44, 10]])}])
    for least, want in ((1e-6, [(3, 0)]), (0.4, [(3, 0)]), (0.5, [])):
        rule = SSDMatch(first="greedy", min_iou=least)
        assert outcome(rule(row_of_anchors(), targets))[0] == want


def test_every_anchor_above_the_threshold_follows():
    grid = Grid((10, 40), [Level(stride=10, shapes=[(20, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[7.0, 0, 27, 10]])}])
    # anchors -5 to 15, 5 to 25, 15 to 35: IoU 8/32, 18/22, 12/28
    assert outcome(SSDMatch(positive=0.4)(grid, targets))[0] == [(1, 0), (2, 0)]
    assert outcome(SSDMatch(positive=0.2)(grid, targets))[0] == [(0, 0), (1, 0), (2, 0)]


def test_an_object_that_touches_nothing_gets_nothing_where_torchvision_gives_the_first_anchor():
    box = torch.tensor([[500.0, 500, 510, 510]])
    for first in ("best", "greedy"):
        got = SSDMatch(first=first)(row_of_anchors(), Targets.from_list([{"boxes": box}]))
        assert outcome(got) == ([], set())
    assert SSDMatcher(0.5)(box_iou(box, row_of_anchors().boxes())).tolist() == [0, -1, -1, -1]


@settings(max_examples=55, deadline=None)
@given(scenes(crowds=False), st.sampled_from(["best", "greedy"]), st.sampled_from([0.3, 0.5]))
def test_equals_the_dense_rule(scene, first, positive):
    grid, targets = scene
    want = per_image(
        targets, grid, lambda boxes, _: ssd(grid.boxes(), boxes, positive, first == "greedy")
    )
    assert outcome(SSDMatch(first=first, positive=positive)(grid, targets)) == want


@pytest.mark.parametrize("seed", range(3))
def test_objects_that_all_their_first_anchors_turn_away_ask_others(seed, both_ways, monkeypatch):
    """Two hundred in one corner want the same anchors: their lists are made longer, twice."""
    rng = torch.Generator().manual_seed(seed)
    grid = Grid((128, 160), [Level(stride=8, shapes=[(16, 16), (24, 12)])])
    corner = 40 * torch.rand(200, 2, generator=rng)
    box = torch.cat([corner, corner + 20 + 60 * torch.rand(200, 2, generator=rng)], dim=1)
    box[::20] = box[0]  # equal IoU: the lower anchor, then the lower object
    targets = Targets.from_list([{"boxes": box}, {"boxes": box[:30]}])
    want = per_image(targets, grid, lambda boxes, _: ssd(grid.boxes(), boxes, 0.9, True))
    depths, query = [], Grid.most_overlapping

    def asked(self, targets, k):
        depths.append(k)
        return query(self, targets, k)

    monkeypatch.setattr(Grid, "most_overlapping", asked)
    got = SSDMatch(first="greedy", positive=0.9)(grid, targets)
    assert outcome(got) == want
    assert depths[:3] == [8, 32, 128]


@pytest.mark.parametrize("seed", range(10))
def test_the_same_as_torchvision(seed):
    rng = torch.Generator().manual_seed(seed)
    levels = [Level(stride=s, shapes=[(3.0 * s, 3.0 * s), (4.0 * s, 2.0 * s)]) for s in (8, 16, 32)]
    grid = Grid((160, 256), levels)
    corner = torch.rand(20, 2, generator=rng) * torch.tensor([200, 120])
    box = torch.cat([corner, corner + 5 + 70 * torch.rand(20, 2, generator=rng)], 1)
    got = SSDMatch()(grid, Targets.from_list([{"boxes": box}]))
    assert torch.equal(got.dense()[0], SSDMatcher(0.5)(box_iou(box, grid.boxes())))


def test_a_long_chain_of_displaced_objects_is_resolved():
    # every object prefers the anchor to its left, which its left neighbour wants more
    grid = Grid((10, 310), [Level(stride=10, shapes=[(10, 10)])])
    left = torch.arange(30) * 10 + 4.0 - 0.1 * torch.arange(30)
    box = torch.stack([left, 0 * left, left + 10, 0 * left + 10], 1)
    want = ssd(grid.boxes(), box, 0.9, True)
    got = SSDMatch(first="greedy", positive=0.9)(grid, Targets.from_list([{"boxes": box}]))
    assert outcome(got) == want
    assert len(want[0]) == 30


@pytest.mark.parametrize(
    "bad", [{"positive": 0}, {"first": "both"}, {"min_iou": -1}, {"min_iou": 0.2}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="SSDMatch"):
        SSDMatch(**bad)
