"""Detectron2's matcher, FCOS matching, anchors and box transforms: equal, and where not."""

import pytest
import torch
from parity.cases import assert_same, boxes, cases, needs, peers, points

from kedge import Free, Grid, Level, Targets
from kedge.anchors.presets import ratio_shapes
from kedge.assign import MaxIoU
from kedge.boxes import iou
from kedge.coders import DeltaCoder, LTRBCoder

pytestmark = needs("Detectron2")


@pytest.mark.parametrize("peer", ["Detectron2", "Detectron2 RPN"])
def test_the_matcher(peer):
    assert_same(("MaxIoU", peer), boxes())
    assert_same(("MaxIoU", peer), boxes((96, 416)), seeds=20, side=(8.0, 60.0))


def test_fcos_where_its_key_tells_the_areas_apart():
    compared = 0
    for case in cases(("FCOS", "Detectron2"), points(), 60, counts=(6, 0, 1, 9)):
        area = (case.boxes[:, 2:] - case.boxes[:, :2]).prod(1)
        if len(area) > 1 and area.sort().values.diff().min() <= 16:
            continue  # 1e8 - area in single precision
        assert case.same, case.name
        compared += 1
    assert compared > 130


def test_one_matrix_three_answers():
    # an object's best anchor may have a better object: torchvision and Detectron2 leave it there
    quality = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1]])
    matcher = peers.detectron2().Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    index, kind = matcher(quality)
    assert (index.tolist(), kind.tolist()) == ([0, 1, 0], [1, -1, 0])

    anchors = torch.tensor([[0.0, 0, 100, 10], [55, 0, 100, 10], [150, 0, 160, 10]])
    found = torch.tensor([[0.0, 0, 90, 10], [0, 0, 80, 10]])
    overlap = peers.detectron2().pairwise_iou(*map(peers.detectron2().Boxes, (found, anchors)))
    assert overlap.argmax(1).tolist() == [0, 0]
    ours = MaxIoU(positive=0.7, negative=0.3)(Free(anchors), Targets.from_list([{"boxes": found}]))
    index, kind = matcher(overlap)
    assert (
        torch.where(kind == 1, index, -1 - kind.ne(0).long()).tolist() == ours.dense()[0].tolist()
    )
    assert ours.dense().tolist() == [[0, -2, -1]]


def test_an_object_that_touches_nothing_makes_every_anchor_positive_there():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    away = torch.tensor([[100.0, 100, 110, 110]])
    rule = peers.PEERS["MaxIoU", "Detectron2"]
    assert rule(None, anchors, away, torch.zeros(1).long(), None, None).tolist() == [0, 0]
    ours = MaxIoU()(Free(anchors), Targets.from_list([{"boxes": away}]))
    assert ours.dense().tolist() == [[-1, -1]]


def test_boxes_without_area_overlap_nothing_in_both():
    flat = torch.tensor([[5.0, 5, 5, 5]])
    peer = peers.detectron2()
    assert peer.pairwise_iou(peer.Boxes(flat), peer.Boxes(flat)).tolist() == [[0.0]]
    assert iou(flat, flat).tolist() == [0.0]


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_anchors_size_outer_and_offset_in_strides(offset):
    from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

    sizes, ratios, strides = [[32.0, 40.3], [64.0, 80.6]], [0.5, 1.0, 2.0], [8, 16]
    peer = DefaultAnchorGenerator(
        sizes=sizes, aspect_ratios=[ratios], strides=strides, offset=offset
    )
    maps = [torch.zeros(1, 1, 12, 20), torch.zeros(1, 1, 6, 10)]
    theirs = torch.cat([b.tensor for b in peer(maps)])
    shapes = [ratio_shapes(s, ratios, size_outer=True) for s in sizes]
    levels = [
        Level(stride=s, shapes=a, offset=offset) for s, a in zip(strides, shapes, strict=True)
    ]
    torch.testing.assert_close(Grid((96, 160), levels).boxes(), theirs)


def pairs(seed: int = 0, count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    corner = 200 * torch.rand(2, count, 2, generator=rng)
    side = 1 + 80 * torch.rand(2, count, 2, generator=rng)
    return tuple(torch.cat([corner, corner + side], -1))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_the_delta_coder(weights):
    anchors, found = pairs()
    peer = peers.detectron2().Box2BoxTransform(weights)
    coder = DeltaCoder(stds=tuple(1 / w for w in weights))
    codes = peer.get_deltas(anchors, found)
    torch.testing.assert_close(coder.encode(anchors, found), codes, rtol=1e-5, atol=1e-4)
    # half of the codes beyond the clamp
    codes = codes * torch.linspace(0.1, 12, len(codes))[:, None]
    torch.testing.assert_close(
        coder.decode(anchors, codes), peer.apply_deltas(codes, anchors), rtol=1e-5, atol=1e-2
    )


def test_the_linear_coder_of_fcos():
    anchors, found = pairs(1)
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    anchors = torch.cat([centre - 8, centre + 8], 1)  # points of stride 16
    stride = torch.full((len(anchors), 2), 16.0)
    peer, coder = peers.detectron2().Box2BoxTransformLinear(), LTRBCoder()
    codes = peer.get_deltas(anchors, found)
    # deviation: sides that the point lies beyond are targets of 0, as "relu" can reach no less
    torch.testing.assert_close(coder.encode(anchors, found, stride), codes.relu())
    torch.testing.assert_close(
        coder.decode(anchors, codes, stride), peer.apply_deltas(codes, anchors), rtol=0, atol=1e-4
    )
