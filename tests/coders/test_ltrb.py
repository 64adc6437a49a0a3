import math

import pytest
import torch
from torchvision.models.detection._utils import BoxLinearCoder

from kedge.coders import DistributionCoder, LTRBCoder, TBLRCoder

# the point (20, 12) on a cell of stride (8, 8); the box reaches 2, 3, 6, 5 from it
POINT = torch.tensor([[16.0, 8.0, 24.0, 16.0]])
STRIDE = torch.tensor([[8.0, 8.0]])
BOX = torch.tensor([[18.0, 9.0, 26.0, 17.0]])


def test_ltrb_by_hand():
    lengths = torch.tensor([[2.0, 3.0, 6.0, 5.0]])
    torch.testing.assert_close(LTRBCoder().encode(POINT, BOX, STRIDE), lengths / 8)
    torch.testing.assert_close(LTRBCoder(normalise=False).encode(POINT, BOX), lengths)
    exp = LTRBCoder(normalise=False, activation="exp")
    torch.testing.assert_close(exp.encode(POINT, BOX), lengths.log())
    torch.testing.assert_close(exp.decode(POINT, lengths.log()), BOX)


def test_strides_of_two_sizes_divide_the_right_sides():
    stride = torch.tensor([[8.0, 4.0]])
    code = LTRBCoder().encode(POINT, BOX, stride)
    torch.testing.assert_close(code, torch.tensor([[2 / 8, 3 / 4, 6 / 8, 5 / 4]]))


def test_a_point_outside_the_box():
    beside = BOX + torch.tensor([10.0, 0.0, 10.0, 0.0])  # left is -8
    assert LTRBCoder().encode(POINT, beside, STRIDE)[0, 0] == 0
    assert LTRBCoder(activation="none").encode(POINT, beside, STRIDE)[0, 0] == -1
    code = LTRBCoder(activation="exp").encode(POINT, beside, STRIDE)[0, 0]
    assert code == pytest.approx(math.log(1e-6), rel=1e-5)


def test_negative_outputs_are_clipped_by_relu():
    box = LTRBCoder().decode(POINT, torch.tensor([[-1.0, 1.0, 1.0, -1.0]]), STRIDE)
    torch.testing.assert_close(box, torch.tensor([[20.0, 4.0, 28.0, 12.0]]))


def test_equals_torchvision_linear_coder_when_the_anchor_is_the_cell():
    theirs = BoxLinearCoder(normalize_by_size=True)
    ours = LTRBCoder(activation="none")
    torch.testing.assert_close(ours.encode(POINT, BOX, STRIDE), theirs.encode(POINT, BOX))
    codes = torch.tensor([[0.3, 0.6, 1.4, 2.0]])
    torch.testing.assert_close(ours.decode(POINT, codes, STRIDE), theirs.decode(codes, POINT))


def test_tblr_by_hand():
    anchor = torch.tensor([[10.0, 7.0, 30.0, 17.0]])  # 20 x 10 around (20, 12)
    code = torch.tensor([[3 / 40, 5 / 40, 2 / 80, 6 / 80]])  # top, bottom / 4h, left, right / 4w
    torch.testing.assert_close(TBLRCoder().encode(anchor, BOX), code)
    torch.testing.assert_close(TBLRCoder().decode(anchor, code), BOX)


def test_distribution_by_hand():
    coder = DistributionCoder(reg_max=3)
    uniform = coder.decode(POINT, torch.zeros(1, 16), STRIDE)  # every side 1.5 strides = 12 px
    torch.testing.assert_close(uniform, torch.tensor([[8.0, 0.0, 32.0, 24.0]]))
    logits = torch.full((1, 4, 4), -50.0)
    for side, bin_ in enumerate((0, 1, 2, 3)):
        logits[0, side, bin_] = 50.0
    decoded = coder.decode(POINT, logits.flatten(1), STRIDE)
    torch.testing.assert_close(decoded, torch.tensor([[20.0, 4.0, 36.0, 36.0]]))


def test_distribution_targets_are_cut_at_reg_max():
    coder = DistributionCoder(reg_max=3)
    assert coder.code_size == 16
    huge = torch.tensor([[-500.0, 11.0, 500.0, 12.0]])
    torch.testing.assert_close(
        coder.encode(POINT, huge, STRIDE), torch.tensor([[3.0, 1 / 8, 3.0, 0.0]])
    )


def test_settings_are_checked():
    with pytest.raises(ValueError, match="activation"):
        LTRBCoder(activation="sigmoid")
    with pytest.raises(ValueError, match="scale"):
        TBLRCoder(scale=0.0)
    with pytest.raises(ValueError, match="reg_max"):
        DistributionCoder(reg_max=0)
