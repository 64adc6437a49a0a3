"""Guided Anchoring by hand: anchors from what is predicted, gradients, and cells without any.

tests/parity/test_mmdetection_guided.py compares targets, outputs and losses with MMDetection."""

import math

import pytest
import torch

from detectors.scenes import CLASSES, GUIDED, batch, make
from kedge import Boxes, Grid, Level
from kedge.detectors import GARPN, GAFasterRCNN, GARetinaNet
from kedge.detectors.guidance import Guidance
from kedge.doctor.setups import of_detector
from kedge.nn.guided import FeatureAdaption
from kedge.types import Targets

IMAGES, TARGETS = batch()
guided = pytest.mark.parametrize("name", GUIDED)


def guidance(model) -> Guidance:
    return model.guidance if isinstance(model, GARetinaNet) else model.proposals.guidance


def layers(model):
    return model.layers if isinstance(model, GARetinaNet) else model.proposals.layers


def test_an_anchor_is_its_square_in_the_shape_predicted():
    """Squares of 2 strides in cells of 8 and 16 px; one cell says e^0.5 wide, e^-0.5 high."""
    sampled = Grid((16, 32), [Level(stride=s, shapes=[(s, s)] * 3) for s in (8.0, 16.0)])
    shape = torch.zeros(2, 10, 2)
    shape[1, 1] = torch.tensor([0.5, -0.5])
    boxes = Guidance(square=2.0).anchors(sampled, shape)
    assert boxes.boxes()[0].tolist() == [-4, -4, 12, 12]
    assert boxes.boxes()[8].tolist() == [-8, -8, 24, 24]
    half = 8 * math.exp(0.5), 8 * math.exp(-0.5)
    wanted = [12 - half[0], 4 - half[1], 12 + half[0], 4 + half[1]]
    assert boxes.boxes()[11].tolist() == pytest.approx(wanted, rel=1e-5)
    assert (boxes.per_image, boxes.num_levels, boxes.image_size) == (10, 2, (16, 32))
    assert boxes.level().tolist() == ([0] * 8 + [1] * 2) * 2
    assert boxes.stride()[9].tolist() == [16, 16]


@guided
def test_gradients_go_where_they_should(name):
    """Anchors learn by location and shape alone, and every parameter learns."""
    model = make(name)
    losses = model.train()(IMAGES, TARGETS)
    said = layers(model)
    for key, loss in losses.items():
        wanted = {"location": said.location.weight, "shape": said.shape.weight}
        for branch, weight in wanted.items():
            (slope,) = torch.autograd.grad(loss, weight, retain_graph=True, allow_unused=True)
            assert (slope is not None and bool(slope.any())) == key.endswith(branch), (key, branch)
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_adapted_features_see_the_shape_but_do_not_teach_it():
    torch.manual_seed(0)
    layer = FeatureAdaption(8).double()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    shape = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    out = layer(x, shape)
    assert not torch.allclose(out, layer(x, -shape))
    assert torch.autograd.grad(out.sum(), shape, allow_unused=True) == (None,)
    with torch.no_grad():  # no tap moves, nothing is cut off: a plain convolution
        layer.offsets.weight.zero_()
        plain = torch.nn.functional.conv2d(x, layer.taps.weight, padding=1).relu()
        assert torch.allclose(layer(x, shape), plain)
    with pytest.raises(ValueError, match="multiple of 4"):
        FeatureAdaption(10)


@guided
def test_where_no_cell_is_likely_nothing_is_found(name):
    model = make(name).eval()
    found = model.propose if name != "ga_retinanet" else model.detect
    images = torch.stack([IMAGES[0], IMAGES[2]])
    if name == "ga_retinanet":
        torch.nn.init.constant_(layers(model).classes.bias, 2.0)
    torch.nn.init.constant_(layers(model).location.bias, 2.0)
    assert len(found(images)) > 0
    torch.nn.init.constant_(layers(model).location.bias, -9.0)
    assert len(found(images)) == 0
    assert [len(one["boxes"]) for one in model(IMAGES)] == [0, 0, 0]
    model.train()  # proposals in training come from everywhere, so that the second stage learns
    if name != "ga_retinanet":
        assert len(found(images)) > 0


@guided
def test_the_doctor_sees_the_shapes_by_which_cells_are_found(name):
    model = make(name)
    assert model.rule is guidance(model).assign
    assert model.first_coder is guidance(model).coder
    assert not model.shapes.learn
    said = model.head(torch.rand(2, 3, 64, 96))
    assert isinstance(said.anchors, Boxes)
    assert said.anchors.per_image * 2 == len(model.grid((64, 96)))


def test_published_forms():
    model = GARetinaNet(num_classes=80, backbone="resnet18", width=32)
    squares = model.guidance.squares(model.grid((256, 320)))
    assert squares.shapes.tolist() == [[4.0 * s] * 2 for s in (8, 16, 32, 64, 128)]
    assert model.shapes.levels[0].shapes_tensor().shape == (9, 2)
    for made in (GARPN, GAFasterRCNN):
        model = made(num_classes=80, backbone="resnet18", width=32)
        assert model.strides == (4, 8, 16, 32, 64)
        squares = model.proposals.guidance.squares(model.grid((256, 320)))
        assert squares.shapes.tolist() == [[8.0 * s] * 2 for s in (4, 8, 16, 32, 64)]
        assert model.proposals.guidance.sample.size == 256
    assert model.proposals.selections[False].most == 300
    assert model.regions.assign.positive == 0.6
    assert model.regions.coder.stds == (0.05, 0.05, 0.1, 0.1)


def test_ga_rpn_finds_objects_of_one_class():
    model = make("ga_rpn").eval()
    found = model(IMAGES)
    assert {int(label) for one in found for label in one["labels"]} == {0}
    assert model.most == 100
    model.selection = type(model.selection)(score=0.0, most=3)
    assert [len(one["boxes"]) for one in model(IMAGES)] <= [3, 3, 3]
    assert model.selecting is model
    packed = Targets.from_list(TARGETS)
    one = model.losses(torch.rand(3, 3, 64, 96), packed.as_one_class())
    assert set(one.losses) == {
        f"proposal_{n}" for n in ("classification", "box", "location", "shape")
    }
    assert packed.labels.max() < CLASSES


@pytest.mark.parametrize("name", ["ga_rpn", "ga_retinanet", "ga_faster_rcnn", "retinanet"])
def test_shapes_that_teach_are_not_called_anchors_alone(name):
    said = "no anchors themselves" in of_detector(name, (96, 128)).title
    assert said is name.startswith("ga_")
