"""Learned anchors in torchvision's detectors."""

import pytest
import torch
from interop.tv_models import assert_equal, batch, model, step
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator

from kedge.interop.learned import LearnedCells
from kedge.interop.torchvision import learn_anchors
from kedge.interop.torchvision.learn import ShapeCoder

NAMES = ("retinanet", "ssd", "faster_rcnn")


def generator_of(given):
    return given.rpn.anchor_generator if hasattr(given, "rpn") else given.anchor_generator


def anchors_seen(given, images, targets):
    """What the generator makes for a batch."""
    seen = []
    handle = generator_of(given).register_forward_hook(lambda m, args, out: seen.append(out[0]))
    step(given, images, targets)
    handle.remove()
    return seen[0].detach()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_anchors_to_begin_with_and_a_gradient(name):
    given = model(name)
    images, targets = batch()
    before = anchors_seen(given, images, targets)
    learned = learn_anchors(given, warmup_steps=0)
    torch.testing.assert_close(anchors_seen(given, images, targets), before, rtol=1e-5, atol=1e-4)
    step(given, images, targets)
    (shapes,) = learned.parameters()
    assert any(p is shapes for p in given.parameters())
    assert shapes.grad.abs().sum() > 0


def test_the_gradient_of_a_shape_is_that_of_the_size_residual():
    """One pair: d/d log(a) of |t - log(g / a) / s| is +-1 / s; the centre gives nothing."""
    log = torch.tensor([[2.0, 3.0]], requires_grad=True)
    half = log.exp() / 2
    anchor = torch.cat([10 - half, 10 + half], 1)
    coder = ShapeCoder((10.0, 10.0, 5.0, 5.0))
    found = coder.encode_single(torch.tensor([[4.0, 1, 30, 40]]), anchor)
    found.sum().backward()
    torch.testing.assert_close(log.grad, torch.tensor([[-5.0, -5.0]]))
    assert not coder.decode_single(torch.zeros(1, 4), anchor).requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_written_back_and_the_model_runs_without_kedge(name):
    given = model(name)
    kind = type(generator_of(given))
    images, targets = batch()
    learned = learn_anchors(given, warmup_steps=0)
    with torch.no_grad():
        learned.parameters()[0].add_(0.3)
    during, shapes = anchors_seen(given, images, targets), learned.shapes
    learned.finish()
    assert type(generator_of(given)) is kind
    after = anchors_seen(given, images, targets)
    torch.testing.assert_close(after, during, rtol=1e-5, atol=1e-4)
    assert len(shapes) == sum(generator_of(given).num_anchors_per_location())
    assert not any("kedge" in type(m).__module__ for m in given.modules())
    assert not any("kedge" in type(v).__module__ for m in given.modules() for v in vars(m).values())


@pytest.mark.parametrize("name", NAMES)
def test_undo_takes_the_shapes_back(name):
    given = model(name)
    images, targets = batch()
    wanted = step(given, images, targets)
    peer = generator_of(given)
    with learn_anchors(given) as learned:
        step(given, images, targets)
        assert "shapes)" in repr(learned)
    assert generator_of(given) is peer
    assert_equal(step(given, images, targets), wanted)
    assert not given.transform._forward_hooks


def test_the_warm_up_finds_the_sizes_of_the_objects():
    given = model("retinanet")
    given.transform.min_size, given.transform.max_size = (64,), 96
    learned = learn_anchors(given, warmup_steps=30)
    boxes = torch.tensor([[10.0, 10, 22, 16], [40, 5, 52, 11], [20, 20, 60, 60]])
    target = {"boxes": boxes, "labels": torch.ones(3, dtype=torch.int64)}
    for _ in range(31):
        step(given, [torch.zeros(3, 64, 96)], [target])
    shapes = learned.shapes
    for size in ([12.0, 6.0], [40.0, 40.0]):
        away = (shapes.log() - torch.tensor(size).log()).abs().amax(1)
        assert away.amin() < 0.1
    assert "anchor_generator.warmup.step" in given.state_dict()


def test_anchors_in_the_middle_of_their_cells_stay_there():
    given = model("retinanet")
    peer = given.anchor_generator
    # the transform pads 64 x 96 to itself: strides 8, 16, 32, 64 or 48
    peer.cell_anchors = [cell + 4.0 for cell in peer.cell_anchors[:1]] + peer.cell_anchors[1:]
    images, targets = batch(0, (9,))
    before = anchors_seen(given, images, targets)
    learn_anchors(given, warmup_steps=0)
    torch.testing.assert_close(anchors_seen(given, images, targets), before, rtol=1e-5, atol=1e-4)
    # the warm-up knows where they are
    cells = given.anchor_generator.learned
    assert cells.level_strides()[:3, 0].tolist() == [8, 16, 32]
    assert cells.level_offsets().unique(dim=1)[:, 0].tolist() == [0.5, 0, 0, 0]


def test_cells_know_where_in_them_their_anchors_lie():
    boxes = torch.tensor([[-4.0, -6, 12, 14], [0, 0, 8, 8]])  # about (4, 4)
    cells = LearnedCells([boxes, boxes - 4], None, 5, [(8.0, 8.0), (16.0, 16.0)], shift=0.25)
    assert cells.learned.level_offsets().tolist() == [[0.75, 0.75], [0.25, 0.25]]
    assert cells.warmup is not None
    torch.testing.assert_close(cells.boxes()[0], boxes)


def test_refusals():
    with pytest.raises(ValueError, match="holds no RetinaNet, SSD or R-CNN"):
        learn_anchors(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="FCOS holds no RetinaNet, SSD or R-CNN"):
        learn_anchors(model("fcos"))
    given = model("retinanet")
    given.head.regression_head._loss_type = "giou"
    with pytest.raises(ValueError, match="the box loss is giou"):
        learn_anchors(given)
    given = model("retinanet")
    given.anchor_generator.cell_anchors[0][0] += 1
    with pytest.raises(ValueError, match="do not share one centre"):
        learn_anchors(given)
    assert type(given.anchor_generator) is AnchorGenerator
