"""torchvision's own assigners, which stand inside its detectors' losses: equal, and where not."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from parity.cases import assert_same, boxes, cases, peers, points, scene
from torchvision.models.detection import FCOS as PeerFCOS
from torchvision.models.detection import RetinaNet as PeerRetinaNet
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from kedge import Free, Targets
from kedge.assign import FCOS, MaxIoU, SSDMatch


@pytest.mark.parametrize("peer", ["torchvision", "torchvision RPN"])
def test_the_matcher(peer):
    assert_same(("MaxIoU", peer), boxes())
    assert_same(("MaxIoU", peer), boxes((96, 416)), seeds=20, side=(8.0, 60.0))


def test_the_ssd_matcher():
    assert_same(("SSDMatch", "torchvision"), boxes())


def areas_apart(found: torch.Tensor) -> bool:
    """Whether no two areas are so near that ``1e8 - area`` cannot tell them apart."""
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    return len(area) < 2 or bool(area.sort().values.diff().min() > 16)


def test_fcos():
    apart = [
        case
        for case in cases(("FCOS", "torchvision"), points(), 60, counts=(6, 0, 1, 9))
        if areas_apart(case.boxes)
    ]
    assert len(apart) > 130
    assert [case.name for case in apart if not case.same] == []


def through(detector: type, targets: Targets, batch: int, anchors: torch.Tensor, *more, **parts):
    """What ``detector.compute_loss`` hands to its head as matches, (B, N)."""
    head = SimpleNamespace(compute_loss=lambda targets, outputs, anchors, matched: matched)
    given: Any = SimpleNamespace(head=head, **parts)
    lists = [{"boxes": targets.boxes[targets.image == i]} for i in range(batch)]
    return torch.stack(detector.compute_loss(given, lists, {}, [anchors] * batch, *more))


def test_a_batch_through_the_losses_of_retinanet_and_fcos():
    grid = boxes()
    targets, _ = scene(grid, 3)
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    theirs = through(PeerRetinaNet, targets, 5, grid.boxes(), proposal_matcher=matcher)
    assert torch.equal(MaxIoU()(grid, targets).dense(), theirs)

    grid = points()
    targets, _ = scene(grid, 3, counts=(3, 0, 1, 5))
    per_level = list(grid.anchors_per_level)
    theirs = through(PeerFCOS, targets, 4, grid.boxes(), per_level, center_sampling_radius=1.5)
    assert torch.equal(FCOS(centre_radius=1.5, strict=True)(grid, targets).dense(), theirs)


@pytest.mark.parametrize("seed", range(10))
def test_the_region_proposal_networks_targets(seed):
    grid = boxes()
    targets, _ = scene(grid, seed)
    lists = [{"boxes": targets.boxes[targets.image == i]} for i in range(5)]
    matcher = Matcher(0.7, 0.3, allow_low_quality_matches=True)
    network: Any = SimpleNamespace(box_similarity=box_iou, proposal_matcher=matcher)
    labels, matched = RegionProposalNetwork.assign_targets_to_anchors(
        network, [grid.boxes()] * 5, lists
    )
    ours = MaxIoU(positive=0.7, negative=0.3)(grid, targets)
    dense = ours.dense()
    kind = torch.where(dense >= 0, 1.0, torch.where(dense == -1, 0.0, -1.0))
    assert torch.equal(kind, torch.stack(labels))
    flat = torch.stack(matched).flatten(0, 1)[ours.anchor]
    assert torch.equal(flat, targets.boxes[ours.target])


# -- deviations ------------------------------------------------------------------------------------


def one(*rows: list[float]) -> Targets:
    return Targets.from_list([{"boxes": torch.tensor(rows)}])


def test_an_object_that_touches_nothing_makes_every_anchor_positive_there():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    away = [100.0, 100, 110, 110]
    theirs = peers.PEERS["MaxIoU", "torchvision"](
        None, anchors, torch.tensor([away]), torch.zeros(1, dtype=torch.int64), None, None
    )
    assert theirs.tolist() == [0, 0, 0]  # IoU 0 equals the maximum 0
    assert MaxIoU()(Free(anchors), one(away)).dense().tolist() == [[-1, -1, -1]]
    assert SSDMatcher(0.5)(box_iou(torch.tensor([away]), anchors)).tolist() == [0, -1, -1]
    assert SSDMatch()(Free(anchors), one(away)).dense().tolist() == [[-1, -1, -1]]


def test_two_boxes_without_area_are_a_nan_that_matches_there():
    anchors = torch.tensor([[5.0, 5, 5, 5], [0, 0, 10, 10]])
    flat = [5.0, 5, 5, 5]
    iou = box_iou(torch.tensor([flat]), anchors)
    assert iou[0].isnan().tolist() == [True, False]
    assert Matcher(0.5, 0.4)(iou).tolist() == [0, -1]
    assert MaxIoU()(Free(anchors), one(flat)).dense().tolist() == [[-1, -1]]


def test_areas_that_its_key_cannot_tell_apart_take_the_first_object_there():
    grid = points((64, 96), levels=1)
    large, small = [10.0, 9, 74, 53.05], [10.0, 9, 74, 53]
    key = torch.tensor(1e8) - torch.tensor([64 * 44.05, 64 * 44.0])
    assert key[0] == key[1]  # in single precision, 3.2 px^2 apart
    found = torch.tensor([large, small])
    theirs = peers.PEERS["FCOS", "torchvision"](
        grid, grid.boxes(), found, torch.zeros(2, dtype=torch.int64), None, None
    )
    ours = FCOS(centre_radius=1.5, strict=True)(grid, one(large, small)).dense()[0]
    assert torch.equal(ours >= 0, theirs >= 0)
    assert set(theirs[theirs >= 0].tolist()) == {0}
    assert set(ours[ours >= 0].tolist()) == {1}  # the smaller
