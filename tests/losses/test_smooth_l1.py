import math

import pytest
import torch
import torch.nn.functional as F

from kedge.losses import balanced_l1_loss, smooth_l1_loss


def at(loss, d, **settings):
    value = loss(
        torch.tensor(d, dtype=torch.float64), torch.zeros((), dtype=torch.float64), **settings
    )
    return value.item()


def test_smooth_l1_by_hand():
    assert at(smooth_l1_loss, 0.05, beta=1 / 9) == pytest.approx(0.05**2 * 9 / 2)  # .01125
    assert at(smooth_l1_loss, 0.5, beta=1 / 9) == pytest.approx(0.5 - 1 / 18)  # .444444
    assert at(smooth_l1_loss, -0.5, beta=0.0) == 0.5
    assert at(smooth_l1_loss, 3.0) == 2.5


def test_smooth_l1_equals_torch():
    a, b = torch.randn(30, 4), torch.randn(30, 4)
    for beta in (0.0, 0.11, 1.0):
        assert torch.equal(smooth_l1_loss(a, b, beta=beta), F.smooth_l1_loss(a, b, beta=beta))


def test_balanced_l1_by_hand():
    # b = e^3 - 1 = 19.0855
    assert at(balanced_l1_loss, 0.5) == pytest.approx(0.400568, abs=1e-6)
    assert at(balanced_l1_loss, 1.0) == pytest.approx(1.078594, abs=1e-6)
    assert at(balanced_l1_loss, 2.0) == pytest.approx(2.578594, abs=1e-6)
    b = math.e**3 - 1
    wanted = 0.5 / b * (b * 0.5 + 1) * math.log(b * 0.5 + 1) - 0.5 * 0.5
    assert at(balanced_l1_loss, 0.5) == pytest.approx(wanted)


@pytest.mark.parametrize("beta", [0.11, 0.5, 1.0, 2.0])
def test_balanced_l1_has_no_jump_in_value_or_slope(beta):
    below, above = (
        at(balanced_l1_loss, beta - 1e-9, beta=beta),
        at(balanced_l1_loss, beta, beta=beta),
    )
    assert above == pytest.approx(below, abs=1e-7)
    for d in (beta - 1e-7, beta + 1e-7):
        x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
        balanced_l1_loss(x, torch.zeros_like(x), beta=beta).backward()
        assert x.grad.item() == pytest.approx(1.5, abs=1e-5)  # gamma: the largest gradient


def test_settings_are_checked():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match="beta"):
        smooth_l1_loss(x, x, beta=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        balanced_l1_loss(x, x, alpha=0.0)
