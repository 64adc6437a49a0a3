"""Heads: the order of anchors, the prior, the batch norm without shift."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kedge.nn import MultiBoxHead, ScaleNorm, Subnet, YoloOutput
from kedge.nn.heads import prior_bias, rows


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3), shapes=st.integers(1, 4), k=st.integers(1, 6),
    height=st.integers(1, 5), width=st.integers(1, 5),
)  # fmt: skip
def test_rows_run_over_y_then_x_then_shape(batch, shapes, k, height, width):
    maps = torch.rand(batch, shapes * k, height, width)
    out = rows(maps, shapes)
    assert out.shape == (batch, height * width * shapes, k)
    for b, y, x, s in [(0, 0, 0, 0), (batch - 1, height - 1, 0, shapes - 1), (0, 0, width - 1, 0)]:
        anchor = (y * width + x) * shapes + s
        assert torch.equal(out[b, anchor], maps[b, s * k : (s + 1) * k, y, x])


def test_prior_bias_is_the_inverse_of_the_sigmoid():
    assert prior_bias(0.01) == pytest.approx(-4.59512)
    assert prior_bias(0.5) == 0
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        prior_bias(0.0)


def test_an_untrained_subnet_says_the_prior_everywhere():
    head = Subnet(16, 3, 5, prior=0.01)
    out = head([torch.rand(2, 16, 4, 6), torch.rand(2, 16, 2, 3)])
    assert out.shape == (2, (24 + 6) * 3, 5)
    assert torch.allclose(out.sigmoid(), torch.tensor(0.01), rtol=0.05)


def test_subnet_levels_come_in_order():
    head = Subnet(8, 2, 4, depth=1, norm=True)
    fine, coarse = torch.rand(1, 8, 4, 6), torch.rand(1, 8, 2, 3)
    both, alone = head([fine, coarse]), head([coarse])
    assert torch.allclose(both[:, 48:], alone, atol=1e-6)


@pytest.mark.parametrize("norm", [True, False])
def test_yolo_output_splits_codes_objectness_and_classes(norm):
    head = YoloOutput(8, 3, 4, prior=0.2, scale_only_bn=norm)
    codes, objectness, logits = head(torch.rand(2, 8, 5, 7))
    assert codes.shape == (2, 105, 4)
    assert objectness.shape == (2, 105)
    assert logits.shape == (2, 105, 4)
    assert torch.allclose(objectness.sigmoid(), torch.tensor(0.2), atol=0.03)


def test_scale_norm_touches_the_size_outputs_only():
    torch.manual_seed(0)
    head = YoloOutput(8, 3, 4, scale_only_bn=True)
    nn.init.normal_(head.conv.weight)  # far above the norm's epsilon
    plain = YoloOutput(8, 3, 4)
    plain.load_state_dict(head.state_dict(), strict=False)
    x = torch.rand(4, 8, 5, 7)
    (codes, objectness, logits), (raw, raw_objectness, raw_logits) = head(x), plain(x)
    assert torch.equal(codes[..., :2], raw[..., :2])
    assert torch.equal(objectness, raw_objectness)
    assert torch.equal(logits, raw_logits)
    size = codes.view(4, 35, 3, 4)[..., 2:].permute(2, 3, 0, 1).flatten(2)
    assert torch.allclose(size.mean(-1), torch.zeros(3, 2), atol=1e-6)
    assert torch.allclose(size.std(-1), torch.full((3, 2), 0.1), rtol=0.1)


def test_scale_norm_is_batch_norm_without_a_shift():
    ours, reference = ScaleNorm(6, scale=0.7), nn.BatchNorm2d(6)
    nn.init.constant_(reference.weight, 0.7)
    for _ in range(3):
        x = torch.randn(4, 6, 5, 3) * 2 + 1
        assert torch.allclose(ours(x), reference(x), atol=1e-6)
    ours.eval()
    reference.eval()
    assert torch.allclose(ours(x), reference(x), atol=1e-6)
    assert [name for name, _ in ours.named_parameters()] == ["scale"]


def test_a_constant_added_to_the_sizes_is_taken_out_again():
    norm = ScaleNorm(2)
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assert torch.allclose(norm.double()(x), norm(x + 5), atol=1e-9)


@pytest.mark.parametrize("norm", [True, False])
def test_outputs_are_float32_under_autocast(norm):
    head = YoloOutput(8, 3, 4, scale_only_bn=norm)
    with torch.autocast("cpu", torch.bfloat16):
        out = head(torch.rand(2, 8, 5, 7))
        subnet = Subnet(8, 2, 4)([torch.rand(2, 8, 5, 7)])
    assert {x.dtype for x in (*out, subnet)} == {torch.float32}


def test_multibox_levels_come_in_order_with_their_own_number_of_shapes():
    head = MultiBoxHead([4, 6], [2, 3], classes=5, codes=4)
    fine, coarse = torch.rand(1, 4, 2, 3), torch.rand(1, 6, 1, 2)
    logits, codes = head([fine, coarse])
    assert (logits.shape, codes.shape) == ((1, 2 * 6 + 3 * 2, 5), (1, 18, 4))
    shape = torch.nn.functional.conv2d(
        coarse, head.codes[1].weight[8:12], head.codes[1].bias[8:12], padding=1
    )
    assert torch.allclose(codes[0, -1], shape[0, :, 0, 1], atol=1e-6)  # the last cell's last shape


def test_a_lite_head_needs_no_spread():
    head = MultiBoxHead([4, 4], [1, 1], classes=3, codes=4, lite=True)
    logits, _ = head([torch.rand(1, 4, 2, 2), torch.rand(1, 4, 1, 1)])
    assert logits.shape == (1, 5, 3)
    assert torch.isfinite(logits).all()
