"""RTMDet: its boxes and its loss by hand."""

import math

import pytest
import torch
from torch import nn

from detectors.scenes import make
from kedge import Grid, Level
from kedge.detectors import RTMDet
from kedge.detectors.rtmdet import rtmdet_loss
from kedge.nn import CSPNeXt, DecoupledHead, PathAggregation
from kedge.types import Assignment, Predictions, Targets


def test_loss_by_hand():
    """Points on the corners of 16 px cells, all distances 16, an object (0, 0, 32, 16): the pair at
    (16, 16) says (0, 0, 32, 32), IoU and GIoU 1/2; that at (16, 0) says (0, -16, 32, 16), too."""
    grid = Grid((32, 32), [Level(stride=16, offset=0.0)])
    objects = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 32, 16]])}])
    said = Predictions.from_codes(
        torch.zeros(1, 4, 3), torch.zeros(1, 4, 4), grid, make("rtmdet").coder
    )
    chosen = Assignment(
        anchor=torch.tensor([3, 1]), target=torch.tensor([0, 0]), num_anchors=4, targets=objects,
        quality=torch.tensor([0.9, 0.7]),
    )  # fmt: skip
    losses = rtmdet_loss()(said, chosen).terms
    # quality focal at 1/2: (1/2)^2 log 2 against 0, and (y - 1/2)^2 log 2 against y
    soft = 0.4**2 + 0.2**2 + (2 * 3 + 2 * 2) * 0.5**2
    assert losses["classification"].item() == pytest.approx(math.log(2) * soft / 1.6, rel=1e-5)
    assert losses["box"].item() == pytest.approx(2 * (1 - 0.5), rel=1e-5)


def test_pairs_count_by_their_quality():
    """The second pair's box is 16 px off: GIoU 1/3 - 0 there, weights .9 and .3."""
    grid = Grid((32, 32), [Level(stride=16, offset=0.0)])
    objects = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 32, 32]])}])
    codes = torch.zeros(1, 4, 4)
    said = Predictions.from_codes(torch.zeros(1, 4, 3), codes, grid, make("rtmdet").coder)
    chosen = Assignment(
        anchor=torch.tensor([3, 2]), target=torch.tensor([0, 0]), num_anchors=4, targets=objects,
        quality=torch.tensor([0.9, 0.3]),
    )  # fmt: skip
    # (0, 0, 32, 32) fits; (-16, 0, 16, 32) overlaps by half: IoU 1/3, and no empty space around
    loss = rtmdet_loss()(said, chosen).terms["box"].item()
    assert loss == pytest.approx(2 * 0.3 * (1 - 1 / 3) / 1.2, rel=1e-5)


def test_levels_share_convolutions_and_nothing_else():
    model = make("rtmdet")
    tower = model.outputs.class_tower
    assert len(tower.convs) == 1
    assert len(tower.norms) == len(model.outputs.classes) == 3
    assert model.outputs.objectness is None
    assert model.shapes is None


@pytest.mark.parametrize(
    ("size", "depth", "millions"),
    [("tiny", 1, 4.8), ("s", 1, 8.89), ("m", 2, 24.71), ("l", 3, 52.3), ("x", 4, 94.86)],
)
def test_published_sizes_have_the_published_number_of_parameters(size, depth, millions):
    # configs/rtmdet/README.md of open-mmlab/mmdetection
    with torch.device("meta"):
        backbone = CSPNeXt(size)
        width = backbone.channels[0]
        neck = PathAggregation(backbone.channels, width, blocks=depth, large=True, kernel=3)
        head = DecoupledHead(width, 80, objectness=False, shared=True)
        parts = nn.ModuleList([backbone, neck, head])
    count = sum(p.numel() for p in parts.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.1)
    if size == "s":
        whole = RTMDet(num_classes=80, backbone="cspnext_s")
        assert sum(p.numel() for p in whole.parameters()) == count
