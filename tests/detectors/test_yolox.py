"""YOLOX: its boxes and its loss by hand."""

import math

import pytest
import torch
from torch import nn

from detectors.scenes import batch, make
from kedge import Grid, Level
from kedge.detectors import YOLOX
from kedge.detectors.yolox import yolox_loss
from kedge.nn import CSPDarknet, DecoupledHead, PathAggregation
from kedge.types import Assignment, Predictions, Targets


def test_codes_are_offsets_from_the_corner_and_logarithms_in_strides():
    model = make("yolox")
    grid = Grid((32, 48), [Level(stride=16)])
    code = torch.tensor([[0.25, 1.5, 0.0, math.log(2)]])
    row = torch.tensor([4])  # row 1, column 1
    box = model.coder.decode(grid.boxes(row), code, grid.stride(row))
    # (1 + .25) 16, (1 + 1.5) 16; 16 x 32
    assert box[0].tolist() == pytest.approx([20 - 8, 40 - 16, 20 + 8, 40 + 16])
    assert torch.allclose(model.coder.encode(grid.boxes(row), box, grid.stride(row)), code)


def test_loss_by_hand():
    """2 x 2 cells of 16 px; the first says (0, 0, 16, 16) of an object (0, 0, 16, 8): IoU 1/2."""
    grid = Grid((32, 32), [Level(stride=16)])
    objects = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 16, 8]])}])
    codes = torch.zeros(1, 4, 4)
    codes[..., :2] = 0.5
    said = Predictions.from_codes(
        torch.zeros(1, 4, 3), codes, grid, make("yolox").coder, torch.zeros(1, 4)
    )
    pair = torch.tensor([0])
    chosen = Assignment(
        anchor=pair, target=pair, num_anchors=4, targets=objects, quality=torch.tensor([0.5])
    )
    losses = yolox_loss()(said, chosen).terms
    assert losses["box"].item() == pytest.approx(5 * (1 - 0.5**2))
    assert losses["classification"].item() == pytest.approx(3 * math.log(2))
    assert losses["objectness"].item() == pytest.approx(4 * math.log(2))
    said.logits[0, 0, 0], said.branches["objectness"][0, 0] = 1.0, 1.0
    losses = yolox_loss()(said, chosen).terms
    # softplus(1) - goal: classes want the IoU, objectness wants 1
    soft = math.log(1 + math.e)
    assert losses["classification"].item() == pytest.approx(2 * math.log(2) + soft - 0.5)
    assert losses["objectness"].item() == pytest.approx(3 * math.log(2) + soft - 1)


@pytest.mark.parametrize(
    ("size", "depth", "millions"),
    [("tiny", 1, 5.06), ("s", 1, 9.0), ("m", 2, 25.3), ("l", 3, 54.2), ("x", 4, 99.1)],
)
def test_published_sizes_have_the_published_number_of_parameters(size, depth, millions):
    # model zoo of Megvii-BaseDetection/YOLOX
    with torch.device("meta"):
        backbone = CSPDarknet(size)
        width = backbone.channels[0]
        neck = PathAggregation(backbone.channels, width, blocks=depth)
        parts = nn.ModuleList([backbone, neck, DecoupledHead(width, 80)])
    count = sum(p.numel() for p in parts.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)
    if size == "s":
        whole = YOLOX(num_classes=80, backbone="cspdarknet_s")
        assert sum(p.numel() for p in whole.parameters()) == count


def test_scores_are_class_times_objectness():
    model = make("yolox").eval()
    said = model.head(torch.rand(1, 3, 64, 96))
    wanted = said.logits.sigmoid() * said.branches["objectness"].sigmoid()[..., None]
    assert torch.equal(model.scores(said), wanted[0])


def test_no_shapes_and_a_positive_for_each_object_that_wins_one():
    model = make("yolox")
    assert model.shapes is None
    _, objects = batch()
    packed = Targets.from_list(objects)
    found = model.losses(torch.rand(3, 3, 64, 96), packed).assignment
    assert set(found.target.tolist()) >= {0, 1}
