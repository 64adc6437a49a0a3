import pytest
import torch
from torch.autograd import gradcheck

from kedge.losses import mean_max


def quotient(x):
    """The published formula for one bag, float64."""
    w = 1 / (1 - x.double()).clamp(min=1e-12)
    return (x.double() * w).sum() / w.sum()


def test_by_hand():
    x = torch.tensor([0.2, 0.5, 0.9, 0.01, 0.02, 0.03])
    value = mean_max(x, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    # (.25 + 1 + 9) / (1.25 + 2 + 10) = 10.25 / 13.25
    assert value.tolist() == pytest.approx([10.25 / 13.25, 0.020068], abs=1e-6)


def test_near_the_mean_for_small_and_the_maximum_for_large():
    small, large = torch.tensor([1e-6, 3e-6]), torch.tensor([0.3, 0.4, 0.999999])
    bag = torch.zeros(3, dtype=torch.int64)
    assert mean_max(small, bag[:2], 1).item() == pytest.approx(2e-6, rel=1e-4)
    assert mean_max(large, bag, 1).item() == pytest.approx(1, abs=1e-5)


def test_many_bags_in_any_order_equal_one_by_one_and_empty_bags_are_zero():
    g = torch.Generator().manual_seed(0)
    x, bag = torch.rand(300, generator=g), torch.randint(0, 40, (300,), generator=g)
    bag[bag == 7] = 8
    value = mean_max(x, bag, 40)
    for i in range(40):
        wanted = 0 if i == 7 else quotient(x[bag == i]).item()
        assert value[i].item() == pytest.approx(wanted, abs=1e-6)
    order = torch.randperm(300, generator=g)
    torch.testing.assert_close(mean_max(x[order], bag[order], 40), value)
    assert mean_max(torch.zeros(0), torch.zeros(0, dtype=torch.int64), 3).tolist() == [0, 0, 0]


def test_gradient():
    g = torch.Generator().manual_seed(1)
    x = torch.rand(12, generator=g, dtype=torch.float64, requires_grad=True)
    bag = torch.tensor([0, 1, 2] * 4)
    (ours,) = torch.autograd.grad(mean_max(x, bag, 3).sum(), x)
    (wanted,) = torch.autograd.grad(sum(quotient(x[bag == i]) for i in range(3)), x)
    torch.testing.assert_close(ours, wanted)
    w = torch.rand(3, dtype=torch.float64)

    def loss(x):  # the straight-through form has the value and the gradient of the quotient
        return (w * mean_max(x, bag, 3)).sum()

    assert gradcheck(loss, (x,))


def test_gradient_stays_bounded_at_one():
    x = torch.tensor([1.0, 1.0 - 1e-7, 0.5, 0.0], requires_grad=True)
    value = mean_max(x, torch.zeros(4, dtype=torch.int64), 1)
    value.sum().backward()
    assert value.item() == pytest.approx(1)
    assert x.grad.isfinite().all()
    assert (x.grad >= 0).all()
    assert x.grad.max() <= 4
