"""YOLOF: its boxes, its positives, and what its shapes learn from."""

import pytest
import torch

from detectors.scenes import SHAPES, batch, make
from kedge import Grid, Level
from kedge.detectors import YOLOF
from kedge.nn import Tiny
from kedge.types import Targets


def test_a_centre_moves_by_32_pixels_at_most():
    model = make("yolof")
    grid = Grid((64, 96), [Level(stride=32, shapes=[(64.0, 64.0)], offset=0.0)])
    row = torch.tensor([4])  # at (32, 32)
    for shift, moved in ((0.25, 16.0), (1.0, 32.0), (-3.0, -32.0)):
        code = torch.tensor([[shift, 0.0, 0.0, 0.0]])
        (box,) = model.coder.decode(grid.boxes(row), code)
        assert box.tolist() == [moved, 0, 64 + moved, 64]


def test_every_object_gets_as_many_anchors_however_large_it_is():
    """Both are centred between four cells: the squares of 32 and of 256 px there are nearest."""
    model = YOLOF(num_classes=1, width=16)
    grid = model.grid((256, 320))
    boxes = torch.tensor([[36.0, 36, 76, 76], [84, 36, 284, 236]])
    found = model.assign(grid, Targets.from_list([{"boxes": boxes}]))
    assert found.target.bincount().tolist() == [4, 4]
    chosen = grid.boxes(found.anchor)
    assert sorted((chosen[:, 2] - chosen[:, 0]).round().tolist()) == [32] * 4 + [256] * 4


def test_the_published_anchors_and_width():
    model = YOLOF(num_classes=80, backbone=Tiny(width=4, strides=(32,)), stride=32)
    (level,) = model.levels
    assert level.shapes_tensor().tolist() == [[side, side] for side in (32, 64, 128, 256, 512)]
    assert level.stride == 32
    assert model.encoder.project[0].out_channels == 512
    assert [block.convs[1][0].dilation for block in model.encoder.blocks] == [
        (d, d) for d in (2, 4, 6, 8)
    ]
    assert model.encoder.blocks[0].convs[1][0].in_channels == 128


def test_shapes_learn_from_the_boxes_alone():
    model = make("yolof", learn=True)
    losses = model(*batch())
    assert losses.keys() == {"classification", "box"}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, model.shapes.log_shapes, retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and bool(gradient.abs().sum() > 0)
        assert reached == (name == "box"), name


def test_one_level_and_no_more():
    assert len(YOLOF(num_classes=1, shapes=[SHAPES], width=16).shapes) == 3
    with pytest.raises(ValueError, match="YOLOF has one level, got shapes for 2"):
        YOLOF(num_classes=1, shapes=[SHAPES, SHAPES])
    with pytest.raises(ValueError, match=r"maps of stride \(8, 16, 32\), this detector reads"):
        YOLOF(num_classes=1, backbone=Tiny())
