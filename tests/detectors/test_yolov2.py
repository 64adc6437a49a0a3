"""YOLOv2's loss by hand, and the gradient that its anchor shapes receive."""

import math
from dataclasses import replace

import pytest
import torch

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.assign.best_in_cell import BestInCell
from kedge.coders import YOLOv2Coder
from kedge.detectors import YOLOv2
from kedge.losses import CrossEntropy, SoftmaxCrossEntropy, yolov2_loss
from kedge.types import Assignment, Predictions, Targets

# One 32 x 32 image, 2 x 2 cells of 16 px, one 16 x 16 shape. The network says 0 everywhere: every
# prediction is its anchor, every objectness 1/2. One object, 16 x 8, at (12, 8): cell (0, 0).
OBJECT = torch.tensor([[4.0, 4.0, 20.0, 12.0]])


def setting(batch_size=1, dtype=torch.float32, shapes=((16.0, 16.0),)):
    shapes = torch.tensor(shapes, dtype=dtype)
    grid = Grid(image_size=(32, 32), levels=[Level(stride=16, shapes=shapes)])
    targets = Targets(
        boxes=OBJECT.to(dtype), labels=torch.tensor([1]), image=torch.tensor([0]),
        batch_size=batch_size,
    )  # fmt: skip
    count = len(grid)
    predictions = Predictions.from_codes(
        torch.zeros(batch_size, count, 2, dtype=dtype),
        torch.zeros(batch_size, count, 4, dtype=dtype),
        grid,
        YOLOv2Coder(),
        torch.zeros(batch_size, count, dtype=dtype),
    )
    return predictions, targets


def pairs(targets, anchors=4, anchor=(0,), **columns):
    anchor = torch.tensor(anchor)
    return Assignment(
        anchor=anchor, target=torch.zeros_like(anchor), num_anchors=anchors, targets=targets,
        **columns,
    )  # fmt: skip


def test_loss_by_hand():
    predictions, targets = setting()
    losses = yolov2_loss()(predictions, pairs(targets)).terms
    # place: .75 against 1/2, and .5 against 1/2; size: log(16/16) = 0, log(8/16)
    error = 0.25**2 + math.log(0.5) ** 2
    share = 16 * 8 / 32**2
    assert losses["box"].item() == pytest.approx((2 - share) * error / 2, rel=1e-6)
    # (0, 0, 16, 16) covers 12 x 8 of the object: IoU 96 / (256 + 128 - 96) = 1/3
    positive, background = 5 * (0.5 - 1 / 3) ** 2 / 2, 3 * 0.5**2 / 2
    assert losses["objectness"].item() == pytest.approx(positive + background, rel=1e-6)
    assert losses["classification"].item() == pytest.approx(math.log(2), rel=1e-6)


def test_an_image_without_objects_counts_as_one():
    predictions, targets = setting(batch_size=2)
    losses = yolov2_loss()(predictions, pairs(targets)).terms
    one = yolov2_loss()(setting()[0], pairs(setting()[1])).terms
    assert losses["box"].item() == pytest.approx(one["box"].item() / 2)
    expected = (one["objectness"].item() + 4 * 0.5**2 / 2) / 2
    assert losses["objectness"].item() == pytest.approx(expected)


def test_ignored_anchors_are_no_background():
    predictions, targets = setting()
    ignored = pairs(targets, ignored=torch.tensor([1, 3]))
    with_ignored = yolov2_loss()(predictions, ignored).terms
    without = yolov2_loss()(predictions, pairs(targets)).terms
    difference = without["objectness"] - with_ignored["objectness"]
    assert difference.item() == pytest.approx(2 * 0.5**2 / 2)


def test_without_rescoring_objectness_should_be_one_times_quality():
    predictions, targets = setting()
    for quality in (1.0, 0.4):
        chosen = pairs(targets, quality=torch.tensor([quality]))
        losses = yolov2_loss(rescore=False, background=0.0)(predictions, chosen).terms
        assert losses["objectness"].item() == pytest.approx(5 * (0.5 - quality) ** 2 / 2)
        assert losses["classification"].item() == pytest.approx(quality * math.log(2))


def test_weights_share_an_object_among_pairs():
    predictions, targets = setting(shapes=((16.0, 16.0), (16.0, 8.0)))
    chosen = pairs(targets, anchors=8, anchor=(0, 1), weight=torch.tensor([0.25, 0.75]))
    losses = yolov2_loss()(predictions, chosen).terms
    place, share = 0.25**2, 16 * 8 / 32**2
    first, second = place + math.log(0.5) ** 2, place
    expected = (2 - share) * (0.25 * first + 0.75 * second) / 2
    assert losses["box"].item() == pytest.approx(expected, rel=1e-6)


def test_the_early_pull_draws_free_predictions_to_their_anchors():
    predictions, targets = setting()
    predictions.codes[0, 1] = torch.tensor([0.0, 0.0, 0.3, -0.4])
    predictions.codes[0, 0] = 1.0  # the positive is not pulled
    losses = yolov2_loss(pull_images=9)(predictions, pairs(targets)).terms
    assert losses["pull"].item() == pytest.approx(0.01 * (0.3**2 + 0.4**2) / 2)


def test_the_pull_ends_after_the_images_it_was_given():
    torch.manual_seed(0)
    model = YOLOv2(num_classes=1, shapes=[(16, 16)], loss=yolov2_loss(pull_images=3))
    batch = torch.rand(2, 3, 32, 32)
    truth = [{"boxes": OBJECT, "labels": torch.tensor([0])}] * 2
    assert [bool(model(batch, truth)["pull"] > 0) for _ in range(3)] == [True, True, False]
    assert model.state_dict()["loss.extra_pull.images_seen"] == 6


def test_the_gradient_of_a_shape_is_the_papers_closed_form():
    # CATALOGUE 2.9: d loss / d log s = sum over its pairs of weight (delta + log a - log g), here
    # times the loss's own factor (2 - w h) and over the normaliser
    generator = torch.Generator().manual_seed(3)
    log_shapes = torch.randn(2, 2, generator=generator, dtype=torch.float64) * 0.3 + 2.5
    log_shapes.requires_grad_()
    predictions, targets = setting(dtype=torch.float64, shapes=((1.0, 1.0), (1.0, 1.0)))
    codes = torch.randn(1, 8, 4, generator=generator, dtype=torch.float64)
    codes.requires_grad_()
    weight = torch.tensor([0.3, 0.9, 0.5], dtype=torch.float64)
    chosen = pairs(targets, anchors=8, anchor=(0, 1, 3), weight=weight)

    def box(log_shapes, codes):
        grid = predictions.anchors.with_shapes(log_shapes.exp())
        said = Predictions.from_codes(
            predictions.logits, codes, grid, YOLOv2Coder(), predictions.objectness
        )
        return yolov2_loss()(said, chosen).terms["box"]

    to_shapes, to_codes = torch.autograd.grad(box(log_shapes, codes), (log_shapes, codes))
    size = torch.tensor([16.0, 8.0], dtype=torch.float64).log()
    shape = torch.tensor([0, 1, 1])
    residual = codes[0, [0, 1, 3], 2:] + log_shapes[shape] - size
    factor = (2 - 16 * 8 / 32**2) / weight.sum()
    wanted = torch.zeros(2, 2, dtype=torch.float64)
    wanted.index_add_(0, shape, (weight[:, None] * residual).detach() * factor)
    assert torch.allclose(to_shapes, wanted, atol=1e-12)
    # what a shape receives is the sum of what the size outputs of its anchors receive
    same = torch.stack([to_codes[0, 0::2, 2:].sum(0), to_codes[0, 1::2, 2:].sum(0)])
    assert torch.allclose(to_shapes, same, atol=1e-12)
    assert torch.autograd.gradcheck(box, (log_shapes, codes))


def test_scores_are_objectness_times_class_probability():
    model = YOLOv2(num_classes=2, shapes=[(16, 16)])
    predictions, _ = setting()
    predictions.logits[0, 0] = torch.tensor([0.0, math.log(3)])
    predictions.objectness[0, 0] = math.log(4)
    assert torch.allclose(
        model.scores(replace(predictions, classes=model.loss.class_scores))[0],
        torch.tensor([0.2, 0.6]),
    )


def test_independent_classes_are_a_sum_of_binary_cross_entropies():
    logits, labels, quality = torch.zeros(1, 3), torch.tensor([2]), torch.tensor([0.5])
    counts = torch.tensor([True])
    loss = CrossEntropy()(logits, labels, quality, counts).sum()
    assert loss.item() == pytest.approx(3 * math.log(2))
    softmax = SoftmaxCrossEntropy(background=False)
    assert softmax(logits, labels, quality, counts).item() == pytest.approx(math.log(3) / 2)
    assert CrossEntropy().scores.probability(logits)[0].tolist() == [0.5] * 3


def test_anchors_of_the_published_sizes():
    model = YOLOv2(num_classes=20, shapes=[(32, 32)] * 5, backbone="darknet19")
    assert len(model.grid((416, 416))) == 845
    assert len(model.grid((544, 544))) == 1445
    # darknet cfg/yolov2-voc.cfg: 3 x 1024, 3 x 1024, passthrough 64 x 4, 3 x 1024, 125 outputs
    assert model.neck.join[0].in_channels == 1024 + 256
    assert model.output.conv.out_channels == 125
    assert isinstance(model.assign, BestInCell)


def test_darknet19_trains_a_step():
    torch.manual_seed(0)
    model = YOLOv2(num_classes=2, shapes=[(16, 16)], backbone="darknet19", width=32)
    losses = model([torch.rand(3, 50, 70)], [{"boxes": OBJECT, "labels": torch.tensor([1])}])
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)


def test_a_backbone_of_other_strides_is_refused():
    from kedge.nn import Tiny

    with pytest.raises(ValueError, match=r"maps of stride \(8, 16, 32\), this detector reads"):
        YOLOv2(num_classes=1, shapes=[(16, 16)], backbone=Tiny())
