import math

import pytest
import torch
import torch.nn.functional as F

from kedge.losses import GHMC, GHMR


def logits_of(p):
    p = torch.tensor(p, dtype=torch.float64)
    return torch.log(p / (1 - p))


def test_by_hand_without_momentum():
    # two bins; lengths |p - 0| = .1, .2, .3 in the first and .9 in the second
    x, y = logits_of([[0.1, 0.2, 0.3, 0.9]]), torch.zeros(1, 4, dtype=torch.float64)
    entropy = -torch.log1p(-torch.tensor([0.1, 0.2, 0.3, 0.9], dtype=torch.float64))
    weight = (
        torch.tensor([4 / 3, 4 / 3, 4 / 3, 4.0], dtype=torch.float64) / 2
    )  # n / count / bins used
    loss = GHMC(bins=2, momentum=0.0)(x, y)
    torch.testing.assert_close(loss, (weight * entropy).sum() / 4)


def test_every_used_bin_weighs_the_same():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(500, 3, generator=g).double() * 3, torch.rand(500, 3, generator=g) > 0.9
    y = y.double()
    module = GHMC(bins=10, momentum=0.0, reduction="none")
    each = module(x, y) / F.binary_cross_entropy_with_logits(x, y, reduction="none")
    length = (x.sigmoid() - y).abs()
    index = (length * 10).long().clamp(max=9)
    per_bin = torch.zeros(10).double().index_add(0, index.flatten(), each.flatten())
    used = per_bin > 0
    torch.testing.assert_close(per_bin[used], (1500 / used.sum()).double().expand(int(used.sum())))
    assert each.sum().item() == pytest.approx(1500, rel=1e-4)


def test_running_counts_published_and_warm():
    x, y = logits_of([[0.1, 0.2, 0.3, 0.9]]), torch.zeros(1, 4, dtype=torch.float64)
    cold, warm = (
        GHMC(bins=2, momentum=0.75, warm_start=False),
        GHMC(bins=2, momentum=0.75),
    )
    first, first_warm = cold(x, y), warm(x, y)
    torch.testing.assert_close(cold.count, torch.tensor([0.75, 0.25]))  # a quarter of 3 and 1
    torch.testing.assert_close(warm.count, torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(first, 4 * first_warm)
    warm(x[:, :2], y[:, :2])  # first bin: .75 * 3 + .25 * 2; the empty one stays
    torch.testing.assert_close(warm.count, torch.tensor([2.75, 1.0]))
    warm.eval()
    warm(x, y)
    torch.testing.assert_close(warm.count, torch.tensor([2.75, 1.0]))
    assert list(warm.state_dict()) == ["count"]


def test_invalid_elements_count_nowhere():
    x, y = logits_of([[0.1, 0.2, 0.3, 0.9]]), torch.zeros(1, 4, dtype=torch.float64)
    valid = torch.tensor([[True, True, False, False]])
    module = GHMC(bins=2, momentum=0.0)
    torch.testing.assert_close(module(x, y, valid), GHMC(bins=2, momentum=0.0)(x[:, :2], y[:, :2]))
    x.requires_grad_()
    nothing = module(x, y, torch.zeros(1, 1, dtype=torch.bool))
    assert nothing == 0
    nothing.backward()
    assert x.grad.abs().sum() == 0


def test_ghm_r_by_hand():
    mu, d = 0.02, 0.05
    root = math.sqrt(d**2 + mu**2)
    x = torch.tensor([[d]], dtype=torch.float64, requires_grad=True)
    loss = GHMR(momentum=0.0)(x, torch.zeros_like(x))
    assert loss.item() == pytest.approx(root - mu)  # one element: weight 1
    loss.backward()
    assert x.grad.item() == pytest.approx(d / root)  # the gradient length itself


def test_ghm_r_spreads_the_weight():
    d = torch.tensor([[0.001, 0.001, 0.001, 1.0]], dtype=torch.float64)
    weight = GHMR(momentum=0.0, reduction="none")(d, torch.zeros_like(d)) / (
        torch.sqrt(d**2 + 0.0004) - 0.02
    )
    torch.testing.assert_close(
        weight, torch.tensor([[2 / 3, 2 / 3, 2 / 3, 2.0]], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_settings_are_checked():
    with pytest.raises(ValueError, match="bins"):
        GHMC(bins=0)
    with pytest.raises(ValueError, match="momentum"):
        GHMR(momentum=1.0)
    with pytest.raises(ValueError, match="mu"):
        GHMR(mu=0.0)


def test_gradient_is_the_weight_times_that_of_cross_entropy():
    g = torch.Generator().manual_seed(3)
    x = torch.randn(20, 3, generator=g, dtype=torch.float64, requires_grad=True)
    y = (torch.rand(20, 3, generator=g) > 0.7).double()
    each = GHMC(momentum=0.0, reduction="none")(x, y)
    weight = (each / F.binary_cross_entropy_with_logits(x, y, reduction="none")).detach()
    (grad,) = torch.autograd.grad(each.sum(), x)
    torch.testing.assert_close(grad, weight * (x.sigmoid() - y).detach())
