"""Corner pooling, the hourglass and the finest map; tests/parity compares with MMDetection."""

import pytest
import torch

from kedge.nn import CornerPool, FinestMap, HourglassNet, PointMaps, Tiny, corner_pool


def test_corner_pooling_by_hand():
    x = torch.tensor([[[[1.0, 3, 2], [0, 0, 5]]]])
    wanted = {
        "left": [[3, 3, 2], [5, 5, 5]],
        "right": [[1, 3, 3], [0, 0, 5]],
        "top": [[1, 3, 5], [0, 0, 5]],
        "bottom": [[1, 3, 2], [1, 3, 5]],
    }
    for side, rows in wanted.items():
        assert corner_pool(x, side)[0, 0].tolist() == rows, side


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_gradient_of_the_pooling(side):
    x = torch.randperm(24).double().view(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: corner_pool(t, side), x)


def test_a_corner_sees_its_edges_and_nothing_behind_it():
    """With an object's corner at (3, 2): the top-left pool reads to the right of it and below."""
    torch.manual_seed(0)
    block = CornerPool(4, "top_left", inner=4).eval()
    x = torch.rand(1, 4, 12, 12, requires_grad=True)
    block(x)[0, :, 6, 6].sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen[6, 11] or seen[5:8, 9:].any()
    assert not seen[:3].any()
    assert not seen[9:, :3].any()
    assert not seen[:, :3].any()


def test_shapes():
    net = HourglassNet(stacks=2, widths=(8, 8, 12), blocks=(1, 2, 1))
    assert [tuple(x.shape) for x in net(torch.rand(2, 3, 40, 72))] == [(2, 8, 10, 18)] * 2
    assert (net.strides, net.channels) == ((4, 4), (8, 8))
    finest = FinestMap(Tiny(width=4), 8)
    (x,) = finest(torch.rand(1, 3, 64, 96))
    assert (x.shape, finest.strides, finest.channels) == ((1, 8, 8, 12), (8,), (8,))
    maps = PointMaps(8, {"heat": 3, "offset": 2})(x)
    assert {name: value.shape[1] for name, value in maps.items()} == {"heat": 3, "offset": 2}
    assert torch.allclose(maps["heat"].sigmoid().mean(), torch.tensor(0.1), atol=0.03)
