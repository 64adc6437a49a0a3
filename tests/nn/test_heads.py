"""Heads: the order of anchors, the prior, the batch norm without shift."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kedge.nn import (
    CellOutput,
    DecoupledHead,
    MultiBoxHead,
    ScaleNorm,
    Subnet,
    YolofDecoder,
    YoloOutput,
)
from kedge.nn.heads import prior_bias, rows
from kedge.nn.yolof_decoder import joint_logits


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


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("objectness", [True, False])
def test_a_decoupled_head_has_levels_in_order_and_starts_at_the_prior(shared, objectness):
    head = DecoupledHead(8, 3, levels=2, shared=shared, objectness=objectness, prior=0.05)
    fine, coarse = torch.rand(2, 8, 4, 6), torch.rand(2, 8, 2, 3)
    logits, codes, said = head.eval()([fine, coarse])
    assert logits.shape == (2, 30, 3)
    assert codes.shape == (2, 30, 4)
    assert torch.allclose(logits.sigmoid(), torch.tensor(0.05), atol=0.01)
    tower = head.class_tower(coarse, 1)
    assert torch.allclose(logits[:, 24:], rows(head.classes[1](tower), 1))
    if objectness:
        assert said.shape == (2, 30)
        assert torch.allclose(said.sigmoid(), torch.tensor(0.05), atol=0.01)
    else:
        assert said is None


def test_shared_towers_have_one_set_of_convolutions_and_norms_of_their_own():
    apart, shared = (DecoupledHead(8, 3, levels=3, shared=s) for s in (False, True))
    count = [
        sum(isinstance(m, nn.Conv2d) for m in h.class_tower.modules()) for h in (apart, shared)
    ]
    assert count == [6, 2]
    norms = [m for m in shared.class_tower.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert len(shared.state_dict()) == len({v.data_ptr() for v in shared.state_dict().values()})


def test_implicit_objectness_is_a_product_of_sigmoids():
    random = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2, 9, 3, generator=random, dtype=torch.float64)
    objectness = 4 * torch.randn(2, 9, generator=random, dtype=torch.float64)
    product = logits.sigmoid() * objectness.sigmoid()[..., None]
    assert torch.allclose(joint_logits(logits, objectness).sigmoid(), product)
    far = joint_logits(torch.tensor([[[500.0, -500.0]]]), torch.tensor([[400.0]]))
    assert far[0, 0].tolist() == pytest.approx([400, -500])
    leaves = (logits[:1, :2].requires_grad_(), objectness[:1, :2].requires_grad_())
    assert torch.autograd.gradcheck(joint_logits, leaves)


def test_yolofs_decoder_gives_a_row_for_every_shape():
    decoder = YolofDecoder(8, 5, 3, code_size=4, prior=0.02)
    logits, codes = decoder(torch.rand(2, 8, 4, 6))
    assert logits.shape == (2, 120, 3)
    assert codes.shape == (2, 120, 4)
    assert torch.allclose(logits.sigmoid(), torch.tensor(0.01), atol=3e-3)  # half of the prior


def test_boxes_of_a_cell_share_its_classes():
    head = CellOutput(6, 2, 3, code_size=4)
    x = torch.rand(2, 6, 4, 5)
    logits, codes, confidence = head(x)
    assert (logits.shape, codes.shape, confidence.shape) == ((2, 40, 3), (2, 40, 4), (2, 40))
    assert torch.equal(logits[:, :20], logits[:, 20:])
    raw = head.conv(x)[1, :, 2, 3]  # cell 2 * 5 + 3
    assert torch.equal(logits[1, 13], raw[:3])
    assert torch.equal(codes[1, 13], raw[3:7])
    assert confidence[1, 13] == raw[7]
    assert torch.equal(codes[1, 33], raw[8:12])
    assert confidence[1, 33] == raw[12]
