import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from kedge.losses import (
    distribution_focal_loss,
    focal_loss,
    quality_focal_loss,
    varifocal_loss,
)


def logit(p):
    return torch.tensor(math.log(p / (1 - p)), dtype=torch.float64)


def one(y):
    return torch.tensor(y, dtype=torch.float64)


@pytest.mark.parametrize(
    ("p", "y", "wanted"),
    [
        (0.9, 1, 0.000263),
        (0.1, 1, 0.466273),
        (0.9, 0, 1.39882),
        (0.1, 0, 0.00079),
        (0.5, 1, 0.043322),
    ],
)
def test_focal_by_hand(p, y, wanted):
    alpha, share = (0.25, p) if y else (0.75, 1 - p)
    assert alpha * (1 - share) ** 2 * -math.log(share) == pytest.approx(wanted, abs=6e-6)
    assert focal_loss(logit(p), one(float(y))).item() == pytest.approx(wanted, abs=6e-6)


def test_focal_equals_torchvision_on_hard_targets():
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 7, generator=g) * 4
    targets = (torch.rand(50, 7, generator=g) > 0.8).float()
    for alpha, gamma in ((0.25, 2.0), (0.5, 0.0), (-1, 1.5)):
        ours = focal_loss(
            inputs, targets, alpha=None if alpha < 0 else alpha, gamma=gamma, reduction="none"
        )
        theirs = sigmoid_focal_loss(inputs, targets, alpha=alpha, gamma=gamma)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_focal_without_focus_is_cross_entropy():
    inputs, targets = torch.randn(9, 3), torch.rand(9, 3)
    torch.testing.assert_close(
        focal_loss(inputs, targets, alpha=None, gamma=0.0),
        F.binary_cross_entropy_with_logits(inputs, targets),
    )


def test_focal_with_a_soft_target_is_the_expected_loss():
    inputs = torch.randn(20)
    ones, zeros = torch.ones(20), torch.zeros(20)
    expected = 0.3 * focal_loss(inputs, ones) + 0.7 * focal_loss(inputs, zeros)
    torch.testing.assert_close(focal_loss(inputs, 0.3 * ones), expected)


def test_quality_and_varifocal_by_hand():
    # |.8 - .6|^2 * BCE(.6, .8) with BCE = -.8 ln .6 - .2 ln .4 = .591919
    assert quality_focal_loss(logit(0.6), one(0.8)).item() == pytest.approx(0.023677, abs=1e-6)
    assert quality_focal_loss(logit(0.6), one(0.0)).item() == pytest.approx(0.329865, abs=1e-6)
    assert varifocal_loss(logit(0.6), one(0.8)).item() == pytest.approx(0.473535, abs=1e-6)
    assert varifocal_loss(logit(0.6), one(0.0)).item() == pytest.approx(0.247398, abs=1e-6)
    plain = varifocal_loss(logit(0.6), one(0.8), weigh_positives=False)
    assert plain.item() == pytest.approx(0.591919, abs=1e-6)


def test_quality_without_focus_is_cross_entropy_and_beta_is_checked():
    inputs, targets = torch.randn(9, 3), torch.rand(9, 3)
    torch.testing.assert_close(
        quality_focal_loss(inputs, targets, beta=0.0),
        F.binary_cross_entropy_with_logits(inputs, targets),
    )
    with pytest.raises(ValueError, match="beta"):
        quality_focal_loss(inputs, targets, beta=0.5)


def test_distribution_by_hand():
    # bins 0..3; target 1.25 lies a quarter of the way from bin 1 to bin 2
    inputs = torch.tensor([0.0, 1.0, 2.0, -1.0], dtype=torch.float64)
    p = inputs.exp() / inputs.exp().sum()
    wanted = -(0.75 * p[1].log() + 0.25 * p[2].log())
    torch.testing.assert_close(distribution_focal_loss(inputs, one(1.25)), wanted)
    for at, bin_ in ((0.0, 0), (3.0, 3), (2.0, 2), (-5.0, 0), (9.0, 3)):
        torch.testing.assert_close(distribution_focal_loss(inputs, one(at)), -p[bin_].log())


def test_distribution_shapes_empty_and_gradient():
    inputs = torch.randn(6, 4, 9, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(6, 4, dtype=torch.float64) * 8
    assert distribution_focal_loss(inputs, targets, reduction="none").shape == (6, 4)
    assert torch.autograd.gradcheck(lambda x: distribution_focal_loss(x, targets), (inputs,))
    empty = torch.zeros(0, 4, 9, requires_grad=True)
    loss = distribution_focal_loss(empty, torch.zeros(0, 4))
    assert loss == 0
    loss.backward()
    with pytest.raises(ValueError, match="bins"):
        distribution_focal_loss(torch.zeros(6, 36), targets)


def test_distribution_is_smallest_at_the_two_hot_distribution():
    target = one(2.3)
    best = torch.log(torch.tensor([1e-12, 1e-12, 0.7, 0.3, 1e-12], dtype=torch.float64))
    lowest = distribution_focal_loss(best, target)
    for seed in range(20):
        g = torch.Generator().manual_seed(seed)
        other = best + torch.randn(5, generator=g, dtype=torch.float64)
        assert distribution_focal_loss(other, target) > lowest - 1e-9


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_in_blocks_has_the_value_and_the_slope_of_its_formula(gamma, monkeypatch):
    monkeypatch.setattr("kedge.losses.focal.BLOCK", 3)
    rng = torch.Generator().manual_seed(0)
    inputs = 3 * torch.randn(4, 5, generator=rng, dtype=torch.float64)
    targets = torch.rand(4, 5, generator=rng, dtype=torch.float64)
    leaves = inputs.requires_grad_(), targets.requires_grad_()

    def formula(x, t):
        log_p, log_rest = F.logsigmoid(x), F.logsigmoid(-x)
        positive = -0.3 * t * torch.exp(gamma * log_rest) * log_p
        return positive - 0.7 * (1 - t) * torch.exp(gamma * log_p) * log_rest

    def ours(x, t):
        return focal_loss(x, t, alpha=0.3, gamma=gamma, reduction="none")

    torch.testing.assert_close(ours(*leaves), formula(*leaves))
    for one, other in zip(
        torch.autograd.grad(ours(*leaves).sum(), leaves),
        torch.autograd.grad(formula(*leaves).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(ours, leaves)


def test_focal_of_far_logits_is_finite_and_right():
    inputs = torch.tensor([-200.0, -30.0, 0.0, 30.0, 200.0], requires_grad=True)
    for target, slopes in ((0.0, (0, 0, 0.75, 0.75, 0.75)), (1.0, (-0.25, -0.25, -0.25, 0, 0))):
        loss = focal_loss(inputs, torch.full((5,), target), gamma=0.0, reduction="none")
        (slope,) = torch.autograd.grad(loss.sum(), inputs)
        wanted = torch.tensor(slopes) * torch.tensor([1, 1, 0.5, 1, 1])
        torch.testing.assert_close(slope, wanted, atol=1e-7, rtol=1e-6)
        assert torch.isfinite(loss).all()
    tiny = focal_loss(torch.tensor([-20.0]), torch.zeros(1), alpha=None, gamma=0.0)
    assert tiny.item() == pytest.approx(2.0611536e-9, rel=1e-6)  # log(1 + e^-20)
