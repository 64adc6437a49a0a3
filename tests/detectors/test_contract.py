"""What every detector must do. A new detector is one line in EVERY."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch

from kedge.assign.soft_cell import SoftCell
from kedge.detectors import Detector, RetinaNet, YOLOv2
from kedge.losses import BoxOverlap, CrossEntropy, DenseLoss, yolov2_loss
from kedge.losses.objectness import cross_entropy
from kedge.nn import Tiny
from kedge.types import Targets

OTHER = partial(
    yolov2_loss, rescore=False, pull_images=5, class_term=CrossEntropy(), objectness=1.0,
    confidence=cross_entropy,
)  # fmt: skip
SHAPES = [(12.0, 12.0), (40.0, 20.0), (30.0, 60.0)]
PYRAMID = [[(s, s), (1.5 * s, s)] for s in (16.0, 32.0, 64.0, 128.0, 256.0)]
EVERY = {
    "yolov2": lambda **k: YOLOv2(num_classes=3, shapes=SHAPES, **k),
    "yolov2-scale-only": lambda **k: YOLOv2(num_classes=3, shapes=SHAPES, scale_only_bn=True, **k),
    "yolov2-stride-32": lambda **k: YOLOv2(
        num_classes=3, shapes=SHAPES, backbone=Tiny(width=8, strides=(16, 32)), loss=OTHER(), **k
    ),
    "retinanet": lambda **k: RetinaNet(num_classes=3, shapes=PYRAMID, width=16, **k),
    "retinanet-giou-timm": lambda **k: RetinaNet(
        num_classes=3, shapes=PYRAMID, backbone="resnet10t", width=16, depth=1,
        loss=DenseLoss(box=BoxOverlap()), **k,
    ),
}  # fmt: skip


@pytest.fixture(params=EVERY.values(), ids=EVERY.keys())
def make(request):
    def build(**settings) -> Detector:
        torch.manual_seed(0)
        return request.param(**settings)

    return build


def target(boxes, labels=None, iscrowd=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    out = {"boxes": boxes, "labels": torch.tensor(labels or [0] * len(boxes)).long()}
    return out if iscrowd is None else {**out, "iscrowd": torch.tensor(iscrowd)}


IMAGES = [torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(i)) for i in range(3)]
TARGETS = [
    target([[10, 20, 50, 44], [60, 10, 90, 70]], [0, 2]),
    target([]),
    target([[0, 0, 128, 96]], [1]),
]


def total(losses):
    return sum(losses.values())


def test_training_gives_finite_losses_and_gradients_for_every_parameter(make):
    model = make()
    losses = model(IMAGES, TARGETS)
    assert {"box", "classification"} <= losses.keys()
    assert all(loss.shape == () and loss >= 0 for loss in losses.values())
    total(losses).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_evaluation_speaks_torchvisions_language(make):
    model = make().eval()
    model.selection = type(model.selection)(score=0.0)
    images = [torch.rand(3, 100, 61), torch.rand(3, 70, 130)]
    found = model(images)
    assert len(found) == 2
    for image, one in zip(images, found, strict=True):
        assert one.keys() == {"boxes", "labels", "scores"}
        count = len(one["scores"])
        assert 0 < count <= 100
        assert one["boxes"].shape == (count, 4)
        assert one["labels"].dtype == torch.int64
        assert one["labels"].min() >= 0
        assert one["labels"].max() < 3
        assert (one["scores"].diff() <= 0).all()
        height, width = image.shape[1:]
        assert one["boxes"].min() >= 0
        assert (one["boxes"] <= torch.tensor([width, height, width, height])).all()
        assert (one["boxes"][:, 2:] > one["boxes"][:, :2]).all()
        assert not one["boxes"].requires_grad


def test_images_without_objects_teach_background_only(make):
    losses = make()(IMAGES[:2], [target([]), target([])])
    assert losses["box"] == 0
    rest = total(losses)
    assert torch.isfinite(rest)
    assert rest > 0
    rest.backward()


def test_an_empty_image_changes_nothing_in_evaluation(make):
    model = make().eval()
    model.selection = type(model.selection)(score=1.1)
    found = model(IMAGES[:2])
    assert [len(one["boxes"]) for one in found] == [0, 0]
    assert found[0]["boxes"].shape == (0, 4)


def test_a_batch_is_its_images_one_by_one(make):
    model = make().eval()
    model.selection = type(model.selection)(score=0.0)
    together = model(torch.stack(IMAGES))
    for image, expected in zip(IMAGES, together, strict=True):
        (alone,) = model([image])
        # the order among nearly equal scores may differ by rounding, so compare the logits too
        assert torch.allclose(alone["scores"], expected["scores"], atol=1e-5)
    batch = model.head(torch.stack(IMAGES))
    for i, image in enumerate(IMAGES):
        single = model.head(image[None])
        assert torch.allclose(single.logits[0], batch.logits[i], atol=1e-4)
        assert torch.allclose(single.codes[0], batch.codes[i], atol=1e-4)


def test_padding_moves_no_box(make):
    model = make().eval()
    small, large = torch.rand(3, 64, 64), torch.rand(3, 128, 192)
    model([small, large])
    losses = make()([small, large], [target([[8, 8, 40, 40]]), target([])])
    assert torch.isfinite(total(losses))
    packed = Targets.from_list([target([[8, 8, 40, 40]]), target([])])
    predictions = make().head(torch.zeros(2, 3, 128, 192))
    pairs = model.assign(predictions.anchors, packed, None)
    centres = predictions.anchors.points(pairs.anchor)
    assert len(pairs) > 0
    assert (centres < 64).all()


def test_crowds_are_neither_objects_nor_background(make):
    model = make()
    crowd = target([[0, 0, 128, 96]], [1], [1])
    with_crowd = make()([IMAGES[2]] * 2, [crowd, target([])])
    without = make()([IMAGES[2]] * 2, [target([]), target([])])
    assert with_crowd["box"] == 0
    assert total(with_crowd) < total(without)
    packed = Targets.from_list([crowd])
    predictions = model.head(IMAGES[2][None])
    pairs = model.assign(predictions.anchors, packed, predictions.detach())
    assert len(pairs) == 0
    assert len(pairs.ignored) > 0


def test_one_pixel_and_zero_area_objects_do_no_harm(make):
    model = make()
    tiny = target([[10, 10, 11, 11], [127, 95, 128, 96], [30, 30, 30, 50], [5, 5, 5, 5]])
    losses = model([IMAGES[0]] * 2, [tiny, target([])])
    total(losses).backward()
    assert torch.isfinite(total(losses))
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_thousand_objects(make):
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(1000, 2, generator=g) * 80
    boxes = torch.cat([corner, corner + 1 + torch.rand(1000, 2, generator=g) * 30], 1)
    losses = make()(IMAGES[:2], [target(boxes.tolist(), [i % 3 for i in range(1000)]), TARGETS[0]])
    assert torch.isfinite(total(losses))


def test_autocast_leaves_geometry_in_float32(make):
    model = make()
    plain = model.head(torch.stack(IMAGES))
    with torch.autocast("cpu", torch.bfloat16):
        predictions = model.head(torch.stack(IMAGES))
        losses = model.stage(predictions, Targets.from_list(TARGETS)).losses
    assert predictions.codes.dtype == predictions.logits.dtype == torch.float32
    assert predictions.boxes_at(torch.arange(5)).dtype == torch.float32
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    exact = model.stage(plain, Targets.from_list(TARGETS)).losses
    for name, loss in losses.items():
        assert torch.allclose(loss, exact[name], rtol=0.2, atol=0.05), name
    total(losses).backward()


def test_the_same_seed_gives_the_same_training(make):
    def two_steps():
        model = make(learn=True)
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(2):
            loss = total(model(IMAGES, TARGETS))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return loss, model.shapes.log_shapes.detach()

    (loss, shapes), (again, shapes_again) = two_steps(), two_steps()
    assert torch.equal(loss, again)
    assert torch.equal(shapes, shapes_again)


def test_learning_reaches_the_shapes_and_fixed_ones_stay(make):
    learning, fixed = make(learn=True), make()
    total(learning(IMAGES, TARGETS)).backward()
    assert learning.shapes.log_shapes.grad.abs().sum() > 0
    assert not fixed.shapes.log_shapes.requires_grad
    total(fixed(IMAGES, TARGETS)).backward()
    assert fixed.shapes.log_shapes.grad is None


def test_a_checkpoint_holds_the_shapes(make):
    model, other = make(learn=True), make(learn=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    assert not torch.equal(model.shapes.shapes, other.shapes.shapes)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(model.shapes.shapes, other.shapes.shapes)
    ours, theirs = (m.eval().head(IMAGES[0][None]) for m in (model, other))
    every = torch.arange(len(ours.anchors))
    assert torch.equal(ours.boxes_at(every), theirs.boxes_at(every))


def test_weights_and_quality_count(make):
    model = make()
    packed = Targets.from_list(TARGETS)
    predictions = model.head(torch.stack(IMAGES))
    with torch.no_grad():
        chosen = model.assign(predictions.anchors, packed, predictions.detach())

    def losses(weight=1.0, quality=1.0):
        changed = copy.copy(chosen)
        object.__setattr__(changed, "weight", chosen.weight * weight)
        object.__setattr__(changed, "quality", chosen.quality * quality)
        return model.loss(predictions, changed).terms

    plain = losses()
    assert losses(weight=0.0)["box"] == 0
    assert losses(quality=0.5)["classification"] != plain["classification"]
    assert torch.allclose(losses(quality=0.5)["box"], plain["box"])


def test_another_strategy_can_be_given_to_the_loss(make):
    model = make()
    packed = Targets.from_list(TARGETS)
    predictions = model.head(torch.stack(IMAGES))
    hard = model.stage(predictions, packed).losses
    soft = replace(model.stage, assign=SoftCell(temperature=2.0))(predictions, packed).losses
    assert hard.keys() == soft.keys()
    assert torch.isfinite(total(soft))
    assert total(soft) != total(hard)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (IMAGES[:1], None, "needs targets"),
        (IMAGES[:2], TARGETS[:1], "2 images but 1 target:"),
        ([], [], "batch is empty"),
        ([IMAGES[0], torch.rand(3, 5, 300)], TARGETS[:2], "image 1 has 5 x 300 pixels"),
        ([torch.zeros(3, 64, 64, dtype=torch.uint8)], TARGETS[:1], "image 0: expected a float"),
        ([torch.rand(1, 64, 64)], TARGETS[:1], r"image 0: expected a float tensor \(3, H, W\)"),
        (IMAGES[:2], [target([]), target([[0, 0, 9, 9]] * 2, [0, 3])], "image 1, object 1: label"),
    ],
    ids=["no targets", "too few", "empty", "too small", "bytes", "grey", "label"],
)  # fmt: skip
def test_errors_name_the_image(make, images, targets, message):
    with pytest.raises(ValueError, match=message):
        make()(images, targets)


def test_overfits_one_image(make):
    model = make(learn=True)
    image, truth = IMAGES[0].clone(), TARGETS[0]
    for (x1, y1, x2, y2), label in zip(truth["boxes"].int().tolist(), (0, 2), strict=True):
        image[:, y1:y2, x1:x2] *= 0.1
        image[label, y1:y2, x1:x2] += 0.8
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(120):
        loss = total(model([image] * 2, [truth] * 2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 19 and _found(model, image, truth):
            return
    raise AssertionError(f"the objects are not found after {step + 1} steps")


def _found(model, image, truth):
    model.eval()
    for module in model.modules():  # the statistics of training are those of this one image
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    (found,) = model([image])
    model.train()
    if len(found["boxes"]) < 2:
        return False
    best = found["boxes"][:2], found["labels"][:2]
    order = best[1].argsort()
    close = (best[0][order] - truth["boxes"]).abs().max() < 6
    return bool(close) and best[1][order].tolist() == [0, 2]
