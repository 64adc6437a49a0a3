"""MMDetection's CornerNet: pooling, the hourglass, targets, losses and what is found."""

import sys

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from parity.test_mmdetection_detectors import fill
from parity.test_mmdetection_heads import instances, objects
from torch import Tensor, nn

from kedge.assign.heatmaps import gaussian_radius, points_of
from kedge.boxes import sizes as sides
from kedge.detectors import CornerNet
from kedge.nn import CORNERS, HourglassNet, corner_pool
from kedge.select import KeepAll, Selection

pytestmark = needs("MMDetection")
WIDTH, STRIDE, SIZE = 16, 4, (192, 256)
SHAPE = (3, CLASSES, SIZE[0] // STRIDE, SIZE[1] // STRIDE)
SEEDS = pytest.mark.parametrize("seed", range(3))
MIX = torch.tensor([1.0, 0.731, 0.317, 0.173, 1e3])  # no two boxes of a class are alike
METAS = [{"batch_input_shape": SIZE, "img_shape": SIZE, "border": (0, 0, 0, 0)}] * 3


class Stacks(nn.Module):
    """Features of two stacks in place of an hourglass."""

    strides, channels = (STRIDE,) * 2, (WIDTH,) * 2

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.found = [torch.randn(3, WIDTH, *SHAPE[2:], generator=rng) for _ in range(2)]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.found


def both(seed: int, monkeypatch):
    """MMDetection's head and the detector, with the same weights."""
    mm.mmdetection()
    torch.manual_seed(seed)
    head = mm.mmdetection().heads.CornerHead(
        num_classes=CLASSES, in_channels=WIDTH, num_feat_levels=2, corner_emb_channels=1,
        loss_embedding={
            "type": "AssociativeEmbeddingLoss", "pull_weight": 0.1, "push_weight": 0.1,
        },
    )  # fmt: skip
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
    monkeypatch.setattr(
        sys.modules["kedge.detectors.stacked"], "make_stacks", lambda *_, **__: Stacks(seed)
    )
    model = CornerNet(num_classes=CLASSES)
    return head, model


def copy_weights(head, model) -> None:
    """MMDetection gives every map 256 channels inside and every pool 128: it fills ours."""
    for corner, short in (("top_left", "tl"), ("bottom_right", "br")):
        for number in range(2):
            theirs, ours = getattr(head, f"{short}_pool")[number], model.pools[corner][number]
            pairs = [
                (ours.edges[0], theirs.direction1_conv), (ours.edges[1], theirs.direction2_conv),
                (ours.pooled, theirs.aftpool_conv), (ours.beside, theirs.conv1),
                (ours.after, theirs.conv2),
            ]  # fmt: skip
            for block, module in pairs:
                fill(block[0], module.conv)
                block[1].load_state_dict(module.bn.state_dict())
            for kind, name in (("heat", "heat"), ("offset", "off"), ("embedding", "emb")):
                block = model.maps[corner][number].layers[kind]
                module = getattr(head, f"{short}_{name}")[number]
                fill(block[0], module[0].conv)
                fill(block[2], module[1].conv)


def pair(seed: int, monkeypatch):
    """Both, of equal widths: MMDetection's are fixed, so its layers are made anew."""
    peer = sys.modules[mm.mmdetection().heads.CornerHead.__module__]
    make = peer.CornerHead._make_layers
    pool = peer.BiCornerPool
    monkeypatch.setattr(
        peer.CornerHead, "_make_layers",
        lambda self, out_channels, in_channels: make(self, out_channels, in_channels, WIDTH),
    )  # fmt: skip
    monkeypatch.setattr(
        peer, "BiCornerPool",
        lambda inputs, sides, out_channels: pool(inputs, sides, WIDTH, out_channels),
    )  # fmt: skip
    head, model = both(seed, monkeypatch)
    copy_weights(head, model)
    return head, model


@SEEDS
def test_outputs_losses_and_gradients(seed, monkeypatch):
    head, model = pair(seed, monkeypatch)
    targets = objects((4, 0, 5), seed, (12.0, 120.0))
    stacks = model.backbone.found
    said = head.train()(tuple(stacks))
    theirs = {k: sum(v) for k, v in head.loss_by_feat(*said, instances(targets), METAS).items()}
    images = torch.zeros(3, 3, *SIZE)
    maps = model.train().predict_maps(images)
    order = ("top_left_heat", "bottom_right_heat", "top_left_embedding", "bottom_right_embedding",
             "top_left_offset", "bottom_right_offset")  # fmt: skip
    for name, both_stacks in zip(order, said, strict=True):
        for stack, wanted in zip(("0_", ""), both_stacks, strict=True):
            torch.testing.assert_close(maps[stack + name], wanted, rtol=1e-4, atol=1e-5)
    ours = model.losses(images, targets).losses
    # a mean over corners there, over stacks here; pulls and pushes of both stacks are added there
    for name, wanted, share in (("heat", "det_loss", 1), ("offset", "off_loss", 1),
                                ("pull", "pull_loss", 2), ("push", "push_loss", 2)):  # fmt: skip
        assert float(theirs[wanted].detach()) > 0
        torch.testing.assert_close(share * ours[name], theirs[wanted], rtol=1e-4, atol=1e-6)
    mine = torch.autograd.grad(ours["heat"], model.pools["top_left"][1].after[0].weight)[0]
    its = torch.autograd.grad(theirs["det_loss"], head.tl_pool[1].conv2.conv.weight)[0]
    torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_targets(seed, monkeypatch):
    head, _ = both(0, monkeypatch)
    targets = objects((5, 0, 4), seed, (2.0, 150.0))
    rows = [targets.image == i for i in range(3)]
    theirs = head.get_targets(
        [targets.boxes[r] for r in rows], [targets.labels[r] for r in rows], SHAPE, SIZE
    )
    radius = gaussian_radius((sides(targets.boxes) / STRIDE).ceil(), 0.3).long()
    for points, name in ((targets.boxes[:, :2], "topleft"), (targets.boxes[:, 2:], "bottomright")):
        ours = points_of(points, radius, targets, SHAPE, STRIDE)
        torch.testing.assert_close(ours.heat, theirs[f"{name}_heatmap"], rtol=1e-5, atol=1e-7)
        assert torch.equal(ours.heat == 1, theirs[f"{name}_heatmap"] == 1)
        torch.testing.assert_close(ours.read(theirs[f"{name}_offset"]), ours.offset)


@SEEDS
def test_detections(seed, monkeypatch):
    from mmengine.config import ConfigDict

    head, model = pair(seed, monkeypatch)
    model.selection = Selection(score=0.0, candidates=None, suppress=KeepAll(), most=1000)
    with torch.no_grad():  # so that some pairs are near enough, and corners make boxes
        for number in range(2):
            head.br_heat[number].load_state_dict(head.tl_heat[number].state_dict())
            for short, shift in (("tl", -9.0), ("br", 9.0)):
                getattr(head, f"{short}_emb")[number][1].conv.weight.mul_(0.1)
                getattr(head, f"{short}_off")[number][1].conv.bias.add_(shift)
    copy_weights(head, model)
    head.test_cfg = ConfigDict(corner_topk=60, local_maximum_kernel=3, distance_threshold=0.5)
    model.candidates = 60
    said = head.eval()(tuple(model.backbone.found))
    theirs = head.predict_by_feat(*said, METAS, with_nms=False)
    ours = model.eval().detect(torch.zeros(3, 3, *SIZE)).to_list()
    limit = torch.tensor([SIZE[1], SIZE[0]] * 2)
    assert sum(len(one["boxes"]) for one in ours) > 60
    for one, other in zip(ours, theirs, strict=True):
        boxes = torch.minimum(other.bboxes, limit)  # clipped here
        good = (other.scores > 0) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        assert len(one["boxes"]) == int(good.sum())
        torch.testing.assert_close(one["scores"], other.scores[good], rtol=1e-4, atol=1e-6)
        mine = torch.cat([one["boxes"], one["labels"][:, None], one["scores"][:, None]], 1)
        its = torch.cat([boxes, other.labels[:, None], other.scores[:, None]], 1)[good]
        mine, its = (rows[torch.argsort(rows[:, :5] @ MIX)] for rows in (mine, its))
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_corner_pool(side):
    mm.mmdetection()
    from mmcv.ops import CornerPool

    x = torch.randn(2, 3, 5, 7)
    assert torch.equal(corner_pool(x, side), CornerPool(side)(x))
    assert set(CORNERS) == {"top_left", "bottom_right"}


def test_hourglass():
    torch.manual_seed(0)
    sizes = {"widths": (16, 16, 24, 24), "blocks": (2, 2, 2, 3)}
    theirs = mm.mmdetection().backbones.HourglassNet(
        downsample_times=3, num_stacks=2, stage_channels=sizes["widths"],
        stage_blocks=sizes["blocks"], feat_channel=16,
    )  # fmt: skip
    ours = HourglassNet(stacks=2, **sizes)
    pairs = {"stem": ours.stem, "hourglass_modules": ours.stacks, "inters": ours.between,
              "conv1x1s": ours.before, "out_convs": ours.outputs,
             "remap_convs": ours.after}  # fmt: skip
    for name, part in pairs.items():  # registered in the same order
        its = getattr(theirs, name).state_dict()
        part.load_state_dict(dict(zip(part.state_dict(), its.values(), strict=True)))
    images = torch.rand(2, 3, 64, 128)
    found, wanted = ours.eval()(images), theirs.eval()(images * 4 - 2)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == (2, 16, 16, 32)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    published = HourglassNet()
    count = sum(p.numel() for p in published.parameters())
    made = mm.mmdetection().backbones.HourglassNet()
    assert count == sum(p.numel() for p in made.parameters())
