"""What every coder promises, run for each of them."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch.autograd import gradcheck

from kedge.coders import (
    DeltaCoder,
    DistributionCoder,
    LTRBCoder,
    RootCoder,
    TBLRCoder,
    YOLOv2Coder,
    YOLOv3Coder,
    YOLOv5Coder,
)
from kedge.coders.delta import LOG_LIMIT

EVERY = [
    DeltaCoder(),
    DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2), means=(0.1, -0.1, 0.2, 0.0)),
    DeltaCoder(clamp=(-LOG_LIMIT, LOG_LIMIT), centre_clamp=32.0),
    YOLOv2Coder(),
    YOLOv3Coder(),
    YOLOv5Coder(),
    LTRBCoder(),
    LTRBCoder(activation="exp"),
    LTRBCoder(activation="none", normalise=False),
    RootCoder(),
    RootCoder(cells=13.0),
    TBLRCoder(),
    TBLRCoder(activation="exp", scale=1.0),
    DistributionCoder(),
    DistributionCoder(reg_max=7),
]
NEEDS_STRIDE = (RootCoder, YOLOv2Coder, YOLOv5Coder, DistributionCoder)
every = pytest.mark.parametrize("coder", EVERY, ids=repr)


def pairs(n=200, dtype=torch.float32, seed=0):
    """Anchors, targets around their centres that every coder can write, non-square strides."""
    g = torch.Generator().manual_seed(seed)

    def rand(low, high):
        return low + (high - low) * torch.rand(n, 2, generator=g, dtype=dtype)

    stride = 2.0 ** torch.randint(3, 6, (n, 1), generator=g) * torch.tensor([1.0, 0.5])
    stride = stride.to(dtype)
    centre = (torch.randint(0, 40, (n, 2), generator=g) + 0.5) * stride
    half = rand(1, 3) * stride
    shift = rand(-0.45, 0.45) * stride
    grow = rand(0.7, 2.0) * half
    anchors = torch.cat((centre - half, centre + half), dim=1)
    boxes = torch.cat((centre + shift - grow, centre + shift + grow), dim=1)
    return anchors, boxes, stride


def as_codes(coder, encoded):
    """Codes that decode to the encoded target; a distribution has its mass on two bins."""
    if not isinstance(coder, DistributionCoder):
        return encoded
    bins = torch.arange(coder.reg_max + 1, dtype=encoded.dtype)
    mass = (1 - (encoded[..., None] - bins).abs()).clamp(min=0)
    return mass.clamp(min=1e-30).log().flatten(1)


@every
def test_decoding_the_code_of_a_box_gives_the_box(coder):
    anchors, boxes, stride = pairs()
    encoded = coder.encode(anchors, boxes, stride)
    codes = as_codes(coder, encoded)
    assert codes.shape == (200, coder.code_size)
    # one part in 1e5 of coordinates up to 1,400 px: float32 rounding through exp and logit
    torch.testing.assert_close(coder.decode(anchors, codes, stride), boxes, rtol=1e-5, atol=0.02)


@every
def test_roundtrip_is_exact_in_float64(coder):
    anchors, boxes, stride = pairs(dtype=torch.float64)
    codes = as_codes(coder, coder.encode(anchors, boxes, stride))
    assert codes.dtype == torch.float64
    torch.testing.assert_close(coder.decode(anchors, codes, stride), boxes, rtol=1e-9, atol=1e-6)


@every
def test_no_pairs(coder):
    empty = torch.zeros(0, 4)
    stride = torch.zeros(0, 2)
    assert coder.encode(empty, empty, stride).shape == (0, 4)
    assert coder.decode(empty, torch.zeros(0, coder.code_size), stride).shape == (0, 4)


@every
def test_stride_is_required_by_name_or_not_at_all(coder):
    anchors, boxes, stride = pairs(3)
    codes = torch.zeros(3, coder.code_size)
    needs = isinstance(coder, NEEDS_STRIDE) or (isinstance(coder, LTRBCoder) and coder.normalise)
    if needs:
        with pytest.raises(ValueError, match="stride"):
            coder.encode(anchors, boxes)
        with pytest.raises(ValueError, match="stride"):
            coder.decode(anchors, codes)
    else:
        assert torch.equal(coder.encode(anchors, boxes), coder.encode(anchors, boxes, stride))
        assert torch.equal(coder.decode(anchors, codes), coder.decode(anchors, codes, stride))


@every
def test_half_precision_in_float32_out(coder):
    anchors, boxes, stride = pairs(5)
    codes = torch.zeros(5, coder.code_size, dtype=torch.bfloat16)
    assert coder.decode(anchors, codes, stride).dtype == torch.float32
    half = coder.encode(anchors.bfloat16(), boxes.bfloat16(), stride.bfloat16())
    assert half.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = coder.encode(anchors, boxes, stride), coder.decode(anchors, codes, stride)
    assert under[1].dtype == torch.float32
    assert torch.equal(under[0], coder.encode(anchors, boxes, stride))
    assert torch.equal(under[1], coder.decode(anchors, codes.float(), stride))


@every
def test_integer_strides_and_no_argument_mutated(coder):
    anchors, boxes, stride = pairs(5)
    given = [anchors.clone(), boxes.clone(), stride.clone()]
    a = coder.encode(anchors, boxes, stride.long())
    b = coder.encode(anchors, boxes, stride)
    assert torch.equal(a, b)
    codes = as_codes(coder, b)
    kept = codes.clone()
    coder.decode(anchors, codes, stride)
    assert torch.equal(codes, kept)
    assert all(torch.equal(x, y) for x, y in zip(given, (anchors, boxes, stride), strict=True))


@every
def test_gradient_of_encode_to_the_targets_and_of_decode_to_anchors_and_codes(coder):
    anchors, boxes, stride = pairs(4, dtype=torch.float64, seed=3)
    codes = as_codes(coder, coder.encode(anchors, boxes, stride))
    if isinstance(coder, DistributionCoder):
        codes = codes.clamp(min=-3)
    boxes.requires_grad_()
    assert gradcheck(lambda b: coder.encode(anchors, b, stride), (boxes,))
    anchors.requires_grad_()
    codes = codes.detach().requires_grad_()
    assert gradcheck(lambda a, c: coder.decode(a, c, stride), (anchors, codes))


@every
def test_degenerate_boxes_give_finite_codes_and_gradients(coder):
    point = torch.tensor([[8.0, 8.0, 8.0, 8.0]])
    line = torch.tensor([[8.0, 0.0, 8.0, 16.0]])
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    far = torch.tensor([[900.0, 900.0, 1900.0, 1900.0]])
    for a, b in [(point, point), (box, point), (point, box), (line, box), (box, line), (box, far)]:
        a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
        stride = torch.tensor([[16.0, 16.0]])
        encoded = coder.encode(a, b, stride)
        encoded.sum().backward()
        assert encoded.isfinite().all()
        for grad in (a.grad, b.grad):
            assert grad is not None
            assert grad.isfinite().all()
        wild = torch.full((1, coder.code_size), 500.0, requires_grad=True)
        decoded = coder.decode(a.detach(), wild, stride)
        decoded.sum().backward()
        assert decoded.isfinite().all()
        assert wild.grad.isfinite().all()


@every
def test_a_coder_is_a_value(coder):
    assert eval(repr(coder), globals()) == coder
    with pytest.raises(FrozenInstanceError):
        setattr(coder, fields(coder)[0].name, None)
