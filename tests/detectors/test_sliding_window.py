"""The sliding window: windows that stay as they are, classified on every size of the image."""

import pytest
import torch
from torch.nn import functional as F

from detectors.scenes import CLASSES, batch
from kedge.coders import Fixed
from kedge.detectors import SlidingWindowDetector
from kedge.select import NMS, Selection
from kedge.types import Targets

IMAGES, TARGETS = batch()


def small(**settings):
    torch.manual_seed(0)
    return SlidingWindowDetector(num_classes=CLASSES, **settings)


def test_its_windows_by_hand():
    """An image of 64 x 96, steps of 8, 16 and 32 pixels, windows of four steps at three ratios."""
    grid = small().grid((64, 96))
    assert len(grid) == 3 * (8 * 12 + 4 * 6 + 2 * 3)
    assert grid.boxes()[1].tolist() == [-12, -12, 20, 20]  # h_over_w 1, about (4, 4)
    assert grid.boxes()[-2].tolist() == [80 - 64, 48 - 64, 80 + 64, 48 + 64]
    shapes = grid.shapes[::3]  # h_over_w 1/2: w = side * sqrt 2
    assert torch.allclose(shapes[:, 0], torch.tensor([32.0, 64, 128]) * 2**0.5)


def test_a_box_is_its_window():
    """8 x 8 pixels, one window: the detection is that window, cut off at the image."""
    model = small(shapes=[[(6.0, 4.0)]], octaves=1, prior=0.6).eval()
    (found,) = model([torch.rand(3, 8, 8)])
    assert found["boxes"].tolist() == [[1.0, 2.0, 7.0, 6.0]] * CLASSES
    assert sorted(found["labels"].tolist()) == [0, 1, 2]
    coder, boxes = Fixed(), torch.rand(5, 4)
    assert torch.equal(coder.decode(boxes, torch.zeros(5, 0)), boxes)
    assert coder.encode(boxes, boxes + 1).shape == (5, coder.code_size) == (5, 0)
    assert coder.residual(torch.zeros(5, 0), torch.zeros(5, 0)).shape == (5, 0)


def test_the_classifier_is_the_same_on_every_size_of_the_image():
    """What is shown twice as large is found one octave further up, with the same scores."""
    model = small(octaves=2).eval()
    image = torch.rand(1, 3, 64, 64)
    large = F.interpolate(image, scale_factor=2, mode="nearest")
    with torch.no_grad():
        once, twice = model.head(image), model.head(large)
    first, second = once.anchors, twice.anchors
    fine = first.level(torch.arange(len(first))) == 0
    coarse = second.level(torch.arange(len(second))) == 1
    assert int(fine.sum()) == int(coarse.sum()) == 3 * 64
    assert torch.allclose(once.logits[0, fine], twice.logits[0, coarse], atol=1e-5)
    assert torch.allclose(2 * first.boxes()[fine], second.boxes()[coarse])


def test_it_learns_classes_alone():
    model = small()
    losses = model(IMAGES, TARGETS)
    assert float(losses["box"].detach()) == 0
    torch.stack(list(losses.values())).sum().backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learned == {name for name, p in model.named_parameters() if name != "shapes.log_shapes"}
    assert not model.shapes.log_shapes.requires_grad


def test_windows_that_answer_overlap_their_object_or_are_its_best():
    model = small()
    targets = Targets.from_list(TARGETS)
    chosen = model.assign(model.grid((64, 96)), targets)
    iou = chosen.anchors.measure(chosen.anchors.boxes(chosen.anchor), chosen.boxes)
    assert set(chosen.target.tolist()) == {0, 1, 2, 3}  # the crowd, target 4, is none
    best = chosen.anchors.best(targets)
    rescued = torch.isin(chosen.anchor, best.anchor)
    assert bool(((iou >= 0.5) | rescued).all())


def test_detections_keep_the_contract():
    model = small(selection=Selection(score=0.0, suppress=NMS(threshold=0.3), most=20)).eval()
    found = model(IMAGES)
    for image, one in zip(IMAGES, found, strict=True):
        assert 0 < len(one["boxes"]) <= 20
        assert (one["boxes"][:, 2:] <= torch.tensor(image.shape[:0:-1])).all()
        assert ((one["labels"] >= 0) & (one["labels"] < CLASSES)).all()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="octaves must be at least 1"):
        small(octaves=0)
    with pytest.raises(ValueError, match="SlidingWindowDetector has 3 levels"):
        small(shapes=[[(8, 8)]])
