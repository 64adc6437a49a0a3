import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder

from kedge.coders import DeltaCoder
from kedge.coders.delta import LOG_LIMIT

ANCHOR = torch.tensor([[30.0, 40.0, 70.0, 60.0]])
BOX = torch.tensor([[33.0, 34.0, 83.0, 58.0]])


def test_by_hand():
    # 40x20 at (50, 50); 50x24 at (58, 46): shift 8/40 and -4/20, log(50/40) and log(24/20)
    code = DeltaCoder().encode(ANCHOR, BOX)
    torch.testing.assert_close(code, torch.tensor([[0.2, -0.2, math.log(1.25), math.log(1.2)]]))
    torch.testing.assert_close(code[0, 2:], torch.tensor([0.223144, 0.182322]), atol=1e-6, rtol=0)
    code = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2), means=(0.1, 0.0, 0.0, 0.0)).encode(ANCHOR, BOX)
    torch.testing.assert_close(code, torch.tensor([[1.0, -2.0, 1.115718, 0.911608]]))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_equals_torchvision(weights):
    g = torch.Generator().manual_seed(0)
    xy, wh = torch.rand(500, 2, generator=g) * 900, 1 + torch.rand(500, 2, generator=g) * 400
    anchors = torch.cat((xy, xy + wh), 1)
    shift, grow = torch.randn(500, 2, generator=g) * 20, torch.rand(500, 2, generator=g) * 300 + 1
    boxes = torch.cat((xy + shift, xy + shift + grow), 1)
    theirs, ours = BoxCoder(weights), DeltaCoder(stds=tuple(1 / w for w in weights))
    torch.testing.assert_close(
        ours.encode(anchors, boxes), theirs.encode_single(boxes, anchors), rtol=1e-5, atol=2e-5
    )
    codes = torch.randn(500, 4, generator=g) * 3
    torch.testing.assert_close(
        ours.decode(anchors, codes), theirs.decode_single(codes, anchors), rtol=1e-4, atol=1e-2
    )


def test_upper_clamp_only_as_torchvision_both_sides_as_mmdetection():
    anchor = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    wide = torch.tensor([[0.0, 0.0, 50.0, -50.0]])
    size = DeltaCoder().decode(anchor, wide)[0]
    assert size[2] - size[0] == pytest.approx(1000.0, rel=1e-5)
    assert size[3] - size[1] == pytest.approx(0.0, abs=1e-6)
    size = DeltaCoder(clamp=(-LOG_LIMIT, LOG_LIMIT)).decode(anchor, wide)[0]
    assert size[3] - size[1] == pytest.approx(16 * 16 / 1000, rel=1e-4)


def test_centre_clamp_in_pixels():
    anchor = torch.tensor([[0.0, 0.0, 100.0, 10.0]])
    box = DeltaCoder(centre_clamp=32.0).decode(anchor, torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    torch.testing.assert_close(box, torch.tensor([[32.0, -10.0, 132.0, 0.0]]))


def test_anchor_sizes_learn_from_the_log_ratio_only():
    shape = torch.tensor([[40.0, 20.0]], requires_grad=True)
    centre = torch.tensor([[50.0, 50.0]])
    anchor = torch.cat((centre - shape / 2, centre + shape / 2), 1)
    code = DeltaCoder().encode(anchor, BOX)
    from_shift = torch.autograd.grad(code[0, :2].sum(), shape, retain_graph=True)[0]
    from_size = torch.autograd.grad(code[0, 2:].sum(), shape)[0]
    assert torch.equal(from_shift, torch.zeros(1, 2))
    # d log(g / a) / da = -1 / a, so d / d log(a) = -1: the residual of Anchor Box Optimization
    torch.testing.assert_close(from_size, torch.tensor([[-1 / 40, -1 / 20]]))


def test_a_moved_anchor_centre_still_has_a_gradient():
    centre = torch.tensor([[50.0, 50.0]], requires_grad=True)
    half = torch.tensor([[20.0, 10.0]])
    code = DeltaCoder().encode(torch.cat((centre - half, centre + half), 1), BOX)
    torch.testing.assert_close(
        torch.autograd.grad(code.sum(), centre)[0], torch.tensor([[-1 / 40, -1 / 20]])
    )


def test_settings_are_checked():
    with pytest.raises(ValueError, match="stds"):
        DeltaCoder(stds=(0.1, 0.1, 0.0, 0.2))
    with pytest.raises(ValueError, match="clamp"):
        DeltaCoder(clamp=(1.0, -1.0))
