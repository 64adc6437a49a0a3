"""R-FCN: its pooling against a loop, its vote, and the regions that it learns from."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from detectors.scenes import CLASSES, batch, make
from kedge import Boxes
from kedge.anchors.presets import preset
from kedge.detectors import RFCN
from kedge.detectors.images import batch_images, pack_targets
from kedge.nn import PositionMaps, Vote


def plain(outputs, size, stride=16):
    """Position-sensitive maps that are the input's own channels, for class outputs."""
    width = outputs * size**2
    maps = PositionMaps(
        nn.Identity(), width, width, classes=outputs, codes=1, size=size, stride=stride
    )
    with torch.no_grad():
        for layer in (maps.reduce[0], maps.classes):
            layer.weight.copy_(torch.eye(width)[:, :, None, None])
    return maps


def by_loop(x, box, size, stride):
    """(outputs, size, size): part (i, j) of output c is the mean of channel (c k + i) k + j."""
    out = torch.zeros(x.shape[0] // size**2, size, size)
    x1, y1, x2, y2 = (round(v / stride) for v in box.tolist())
    step_y, step_x = max(y2 - y1, 1) / size, max(x2 - x1, 1) / size
    limits = torch.tensor(x.shape[1:])
    for i in range(size):
        for j in range(size):
            top, bottom = int(i * step_y) + y1, int(-(-(i + 1) * step_y // 1)) + y1
            left, right = int(j * step_x) + x1, int(-(-(j + 1) * step_x // 1)) + x1
            top, bottom = (min(max(v, 0), int(limits[0])) for v in (top, bottom))
            left, right = (min(max(v, 0), int(limits[1])) for v in (left, right))
            for c in range(len(out)):
                part = x[(c * size + i) * size + j, top:bottom, left:right]
                out[c, i, j] = part.mean() if part.numel() else 0
    return out


@pytest.mark.parametrize("size", [2, 3])
def test_pooling_equals_a_loop(size):
    g = torch.Generator().manual_seed(size)
    x = torch.rand(2, 3 * size**2, 9, 13, generator=g)
    corner = torch.rand(20, 2, generator=g) * torch.tensor([150.0, 90])
    boxes = torch.cat([corner, corner + 1 + torch.rand(20, 2, generator=g) * 90], 1)
    image = torch.randint(2, (20,), generator=g)
    with torch.no_grad():
        found = plain(3, size)([x], boxes, image)[:, :3]
    for row, box, number in zip(found, boxes, image, strict=True):
        assert torch.allclose(row, by_loop(x[number], box, size, 16), atol=1e-5)


def test_the_vote_by_hand_on_a_ramp():
    """2 x 2 parts of a region of 4 x 4 cells: each part is the mean of 2 x 2 cells of its map."""
    ramp = torch.arange(16.0).view(4, 4)  # value 4 y + x
    x = torch.stack([ramp, 10 * ramp, 100 * ramp, 1000 * ramp])[None]
    with torch.no_grad():
        parts = plain(1, 2)([x], torch.tensor([[0.0, 0, 64, 64]]), torch.tensor([0]))[:, :1]
    # means of the four quarters of the ramp: 2.5, 4.5, 10.5, 12.5
    assert parts.flatten().tolist() == pytest.approx([2.5, 45, 1050, 12500], rel=1e-5)
    logits, codes = Vote(1)(torch.cat([parts, torch.zeros(1, 4, 2, 2)], 1))
    assert logits.item() == pytest.approx((2.5 + 45 + 1050 + 12500) / 4, rel=1e-5)
    assert codes.tolist() == [[0.0] * 4]


def test_what_moves_by_a_stride_is_scored_as_before():
    g = torch.Generator().manual_seed(0)
    maps = PositionMaps(nn.Conv2d(4, 4, 3, padding=1), 4, 8, classes=3, codes=4)
    x = torch.zeros(1, 4, 20, 24)
    x[..., 4:14, 4:14] = torch.rand(1, 4, 10, 10, generator=g)
    boxes = torch.tensor([[70.0, 75, 190, 210], [100, 64, 180, 128]])
    image = torch.zeros(2).long()
    with torch.no_grad():
        before = maps([x], boxes, image)
        after = maps([x.roll((1, 3), (2, 3))], boxes + torch.tensor([48.0, 16, 48, 16]), image)
    assert float(before.abs().max()) > 0
    assert torch.allclose(before, after, atol=1e-6)


def test_the_second_stage_learns_from_the_regions_that_cost_most():
    images, targets = batch()
    images, sizes = batch_images(images, smallest=16)
    targets = pack_targets(targets, 3)
    model = make("rfcn")
    model.regions.sample = replace(model.regions.sample, size=5)
    with torch.no_grad():
        maps, first = model._first(images)
        boxes = Boxes.from_detections(model.proposals.propose(first, sizes), targets)
        found = model.regions.predict(maps, boxes)
        chosen = model.regions.assign(boxes, targets)
        got = model.regions.losses(maps, boxes, targets, sizes).losses
    entropy = nn.functional.cross_entropy
    label = torch.full((len(boxes),), CLASSES)
    label[chosen.anchor] = chosen.labels
    classes = entropy(found.logits, label, reduction="none")
    codes = model.regions.coder.encode(boxes.boxes(chosen.anchor), chosen.boxes)
    off = nn.functional.smooth_l1_loss(found.codes[chosen.anchor], codes, reduction="none").sum(1)
    cost = classes.clone()
    cost[chosen.anchor] += off
    free = chosen.is_background().index_fill(0, chosen.anchor, True)  # not in a crowd
    kept = []
    for image in range(3):
        mine = ((boxes.image == image) & free).nonzero()[:, 0]
        kept.append(mine[cost[mine].topk(min(5, len(mine))).indices])
    kept = torch.cat(kept)
    assert len(kept) == 15
    # classes over the sample, boxes over twice the sample
    assert float(got["classification"]) == pytest.approx(float(classes[kept].mean()), rel=1e-4)
    of_kept = off[torch.isin(chosen.anchor, kept)].sum()
    assert float(got["box"]) == pytest.approx(float(of_kept) / 30, rel=1e-4)
    assert float(got["box"]) > 0


def test_only_the_proposals_box_loss_reaches_the_shapes():
    model = make("rfcn", learn=True)
    losses = model(*batch())
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, [model.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and float(gradient.abs().sum()) > 0
        assert reached == (name == "proposal_box"), name


def test_the_published_form():
    model = RFCN(num_classes=20, backbone="resnet50")
    assert len(model.shapes.shapes) == 9 == len(preset("py_faster_rcnn").shapes)
    pool = model.regions.pool
    assert (pool.classes.out_channels, pool.codes.out_channels) == (49 * 21, 49 * 4)
    with torch.no_grad():
        (x,) = model.eval().features(torch.rand(1, 3, 64, 96))
        assert x.shape == (1, 1024, 4, 6)
        assert pool.block(x).shape == (1, 2048, 4, 6)  # dilated
    every = model.proposals.selections
    assert every[True].most == every[False].most == 300
