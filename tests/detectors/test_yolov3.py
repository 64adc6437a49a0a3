"""YOLOv3: which level trains, its loss by hand, and what its shapes learn from."""

import math

import pytest
import torch
from torch import nn

from detectors.scenes import PYRAMID, batch, make
from kedge.anchors import preset
from kedge.coders import YOLOv3Coder
from kedge.detectors import YOLOv3
from kedge.detectors.yolov3 import yolov3_loss
from kedge.losses import CellCodes
from kedge.types import Assignment, Predictions, Targets


def targets(*boxes) -> Targets:
    boxes = torch.tensor(boxes).reshape(-1, 4)
    return Targets.from_list([{"boxes": boxes, "labels": torch.zeros(len(boxes)).long()}])


@pytest.fixture(scope="module")
def published():
    return YOLOv3(num_classes=80, backbone="darknet53")


def test_it_is_the_published_network(published):
    # darknet cfg/yolov3.cfg: 75 convolutions, outputs of 255 channels, 10,647 boxes at 416 px
    convs = [layer for layer in published.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convs) == 75
    assert [output.conv.out_channels for output in published.outputs] == [255] * 3
    assert [output.conv.in_channels for output in published.outputs] == [256, 512, 1024]
    assert published.neck.gather[0][0][0].in_channels == 128 + 256
    assert published.multiple == 32
    assert [len(level.shapes) for level in published.levels] == [3, 3, 3]


def test_the_best_of_all_shapes_says_which_level_trains():
    """30 x 61 is the first shape of stride 16: an object of 31 x 60 at (100, 120) trains its cell
    there, column 6 and row 7, and nothing else."""
    grid = YOLOv3(num_classes=1, width=8).grid((416, 416))
    assert len(grid) == 10_647
    out = YOLOv3(num_classes=1, width=8).assign(grid, targets([84.5, 90.0, 115.5, 150.0]))
    fine = 52 * 52 * 3
    assert out.anchor.tolist() == [fine + (7 * 26 + 6) * 3]


def test_loss_by_hand():
    """One 32 x 32 image: 16 + 4 + 1 anchors, all outputs 0. The object of 16 x 8 at (12, 8) belongs
    to a 16 x 16 shape on stride 16: off by (1/4, 0, 0, log 1/2)."""
    shapes = [[(8.0, 8.0)], [(16.0, 16.0)], [(30.0, 30.0)]]
    grid = YOLOv3(num_classes=3, shapes=shapes, width=8).grid((32, 32))
    objects = targets([4.0, 4, 20, 12])
    zeros = torch.zeros(1, 21, 4)
    said = Predictions.from_codes(zeros[..., :3], zeros, grid, YOLOv3Coder(), zeros[..., 0])
    pair = torch.tensor([0])
    chosen = Assignment(anchor=pair + 16, target=pair, num_anchors=21, targets=objects)
    losses = yolov3_loss()(said, chosen).terms
    error = (2 - 16 * 8 / 32**2) * (0.25**2 + math.log(2) ** 2) / 2
    assert losses["box"].item() == pytest.approx(error, rel=1e-5)
    assert losses["objectness"].item() == pytest.approx(21 * math.log(2), rel=1e-5)
    assert losses["classification"].item() == pytest.approx(3 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("box", [None, CellCodes()])
def test_shapes_learn_from_the_boxes_alone(box):
    model = make("yolov3", learn=True)
    if box is not None:
        model.loss.box = box
    losses = model(*batch())
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, model.shapes.log_shapes, retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and bool(gradient.abs().sum() > 0)
        assert reached == (name == "box"), name


def test_levels_may_have_different_numbers_of_shapes():
    model = YOLOv3(num_classes=2, shapes=[[(8, 8)], [(20, 30), (30, 20)], [(60, 60)]], width=8)
    said = model.head(torch.rand(1, 3, 64, 96))
    assert said.shape == (1, 8 * 12 + 2 * 4 * 6 + 2 * 3)


def test_shapes_of_another_number_of_levels_are_refused():
    with pytest.raises(ValueError, match=r"YOLOv3 has 3 levels of stride \(8, 16, 32\), got .* 5"):
        YOLOv3(num_classes=2, shapes=PYRAMID)


def test_untrained_objectness_is_the_prior_and_sizes_can_be_normed():
    model = make("yolov3", prior=0.02, scale_only_bn=True)
    said = model.head(torch.rand(1, 3, 64, 96))
    assert torch.allclose(said.branch("objectness").sigmoid(), torch.tensor(0.02), atol=0.01)
    assert all(output.size_norm is not None for output in model.outputs)
    assert preset(model.published).shapes[0] == (10, 13)
