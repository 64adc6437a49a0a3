"""Passthrough, YOLO necks, pyramids and YOLOF's encoder."""

import pytest
import torch

from kedge.nn import (
    DilatedEncoder,
    Passthrough,
    PathAggregation,
    Pyramid,
    TransferConnection,
    YoloNeck,
    YoloPyramid,
)


def test_passthrough_folds_blocks_into_channels():
    fold = Passthrough(2, squeezed=2).eval()
    with torch.no_grad():  # the squeeze becomes the identity
        fold.squeeze[0].weight.copy_(torch.eye(2)[:, :, None, None])
    fine = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    coarse = torch.full((1, 3, 2, 3), -1.0)
    out = fold(fine, coarse)
    assert out.shape == (1, 2 * 4 + 3, 2, 3)
    block = fine[0, 0, 2:4, 4:6].flatten()  # the cell in row 1, column 2
    assert torch.allclose(out[0, :4, 1, 2], block, rtol=1e-4)
    assert (out[:, 8:] == -1).all()


def test_passthrough_fills_up_odd_sides():
    fold = Passthrough(4, squeezed=2).eval()
    assert fold(torch.rand(1, 4, 5, 7), torch.rand(1, 1, 3, 4)).shape == (1, 9, 3, 4)
    with pytest.raises(ValueError, match="does not fold"):
        fold(torch.rand(1, 4, 8, 8), torch.rand(1, 1, 2, 4))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_yolo_neck_keeps_the_coarse_size(depth):
    neck = YoloNeck(8, 16, 12, depth=depth).eval()
    out = neck([torch.rand(2, 8, 9, 12), torch.rand(2, 16, 5, 6)])
    assert out.shape == (2, neck.channels, 5, 6) == (2, 12, 5, 6)


@pytest.mark.parametrize("from_c5", [True, False])
def test_pyramid_adds_two_coarser_levels(from_c5):
    pyramid = Pyramid((8, 16, 32), 24, from_c5=from_c5)
    maps = [torch.rand(1, c, *s) for c, s in zip((8, 16, 32), ((9, 13), (5, 7), (3, 4)))]
    out = pyramid(maps)
    assert [tuple(x.shape[1:]) for x in out] == [
        (24, 9, 13), (24, 5, 7), (24, 3, 4), (24, 2, 2), (24, 1, 1)
    ]  # fmt: skip
    assert pyramid.p6.in_channels == (32 if from_c5 else 24)
    before = out[3]
    assert torch.equal(out[4], pyramid.p7(torch.relu(before)))


SIZES = ((9, 13), (5, 7), (3, 4))  # 2n - 1 cells above n


@pytest.mark.parametrize("sizes", [SIZES, ((12, 16), (6, 8), (3, 4))])
def test_yolo_pyramid_keeps_the_sizes_and_doubles_the_widths(sizes):
    neck = YoloPyramid((8, 16, 32), (4, 6, 10)).eval()
    out = neck([torch.rand(2, c, *s) for c, s in zip((8, 16, 32), sizes)])
    assert [tuple(x.shape) for x in out] == [(2, 2 * w, *s) for w, s in zip((4, 6, 10), sizes)]
    assert neck.channels == (8, 12, 20)


def test_yolo_pyramid_looks_from_coarse_to_fine_only():
    neck = YoloPyramid((8, 16, 32), (4, 4, 4)).eval()
    maps = [torch.rand(1, c, *s, requires_grad=True) for c, s in zip((8, 16, 32), SIZES)]
    fine, _, coarse = neck(maps)
    assert torch.autograd.grad(coarse.sum(), maps[0], allow_unused=True) == (None,)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(fine.sum(), maps))


@pytest.mark.parametrize("large", [True, False])
def test_path_aggregation_lets_every_level_see_every_other(large):
    neck = PathAggregation((8, 16, 32), 12, blocks=2, large=large, kernel=3 if large else 1).eval()
    maps = [torch.rand(1, c, *s, requires_grad=True) for c, s in zip((8, 16, 32), SIZES)]
    out = neck(maps)
    assert [tuple(x.shape) for x in out] == [(1, 12, *size) for size in SIZES]
    for x in out:
        gradients = torch.autograd.grad(x.square().sum(), maps, retain_graph=True)
        assert all(g.abs().sum() > 0 for g in gradients)


def test_the_dilated_encoder_sees_far_on_one_map():
    encoder = DilatedEncoder(6, 8).eval()
    for parameter in encoder.parameters():  # no ReLU hides anything
        parameter.data.abs_()
    x = torch.rand(1, 6, 5, 60, requires_grad=True)
    out = encoder(x)
    assert out.shape == (1, 8, 5, 60)
    (seen,) = torch.autograd.grad(out[0, :, 2, 30].square().sum(), x)
    columns = seen.abs().sum((0, 1, 2)).nonzero()[:, 0]
    # a 3 x 3 and dilations 2, 4, 6, 8: 1 + 2 + 4 + 6 + 8 cells to either side
    assert (columns.min(), columns.max()) == (30 - 21, 30 + 21)


def test_a_transfer_connection_hands_coarse_maps_down_and_none_up():
    torch.manual_seed(0)
    maps = [torch.rand(1, c, 8 >> n, 12 >> n, requires_grad=True) for n, c in enumerate((3, 5, 4))]
    out = TransferConnection((3, 5, 4), 6)(maps)
    assert [tuple(x.shape) for x in out] == [(1, 6, 8, 12), (1, 6, 4, 6), (1, 6, 2, 3)]
    for number, x in enumerate(out):
        reached = torch.autograd.grad(x.sum(), maps, retain_graph=True, allow_unused=True)
        assert [g is not None for g in reached] == [level >= number for level in range(3)]
