"""The losses of heat maps and embeddings: by hand, and their gradients."""

import math

import pytest
import torch

from kedge.losses import gaussian_focal_loss, heat_loss, offset_loss, pull_push_loss


def test_heat_by_hand():
    """At a probability of 1/2 a point costs log 2 / 4, a cell without heat as much, and one beside
    a point, where the heat is 1/2, a sixteenth of it."""
    heat = torch.tensor([1.0, 0.0, 0.5])
    one = math.log(2) / 4
    loss = gaussian_focal_loss(torch.zeros(3), heat, reduction="none")
    assert loss.tolist() == pytest.approx([one, one, one / 16], rel=1e-5)
    assert float(gaussian_focal_loss(torch.zeros(3), heat)) == pytest.approx(one * 33 / 16)
    far = gaussian_focal_loss(torch.tensor([-100.0, 100.0, 100.0]), heat, reduction="none")
    assert far.tolist() == pytest.approx([100, 100, 100 / 16], rel=1e-5)


def test_heat_is_divided_by_its_points_and_leaves_out_what_is_closed():
    heat = torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]])
    closed = torch.tensor([[[[False, False, True, True]]]])
    one = math.log(2) / 4
    assert float(heat_loss(torch.zeros(1, 1, 1, 4), heat, closed)) == pytest.approx(3 * one / 2)
    nothing = heat_loss(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4), closed)
    assert float(nothing) == pytest.approx(2 * one)


def test_offsets_by_hand():
    off = torch.tensor([[0.5, -0.5], [2.0, 0.0]])
    assert float(offset_loss(off, torch.zeros(2, 2))) == pytest.approx((0.25 + 1.5) / 2)
    assert float(offset_loss(off[:0], off[:0])) == 0


def test_pull_and_push_by_hand():
    """Image 0 holds two objects, whose corners are .2 and 0 apart and whose means are .5; image 1
    one object; image 2 none."""
    one, other = torch.tensor([0.0, 0.6, 4.0]), torch.tensor([0.2, 0.6, 6.0])
    pull, push = pull_push_loss(one, other, torch.tensor([0, 0, 1]), 3)
    assert float(pull) == pytest.approx((2 * 0.01) / 2 + 2, rel=1e-5)
    assert float(push) == pytest.approx(0.5, rel=1e-5)  # both ways, of two pairs
    none = pull_push_loss(one[:0], one[:0], torch.zeros(0).long(), 3)
    assert [float(loss) for loss in none] == [0, 0]


def test_gradients():
    torch.manual_seed(0)
    said = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    heat = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    heat[0, 1, 2, 3] = 1.0
    assert torch.autograd.gradcheck(lambda x: gaussian_focal_loss(x, heat), said)
    tags = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    image = torch.tensor([0, 0, 1, 1, 1])
    assert torch.autograd.gradcheck(lambda t: pull_push_loss(t[0], t[1], image, 2), tags)
