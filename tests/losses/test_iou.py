import math

import pytest
import torch
import torchvision.ops as ops
from torch.autograd import gradcheck

from kedge import boxes, losses

A, B = torch.tensor([[0.0, 0, 20, 10]]), torch.tensor([[0.0, 0, 10, 10]])  # IoU .5


def pairs(n=200, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=g, dtype=dtype) * 50
    b = torch.cat((corner, corner + 5 + torch.rand(n, 2, generator=g, dtype=dtype) * 40), 1)
    return b + torch.rand(n, 4, generator=g, dtype=dtype) * 4.6 - 2.2, b


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.giou_loss, ops.generalized_box_iou_loss),
        (losses.diou_loss, ops.distance_box_iou_loss),
        (losses.ciou_loss, ops.complete_box_iou_loss),
    ],
    ids=["giou", "diou", "ciou"],
)
def test_equals_torchvision_value_and_gradient(ours, theirs):
    inputs, targets = pairs()
    inputs[:40] += 200  # pairs that do not overlap
    for reduction in ("none", "sum", "mean"):
        torch.testing.assert_close(
            ours(inputs, targets, reduction=reduction), theirs(inputs, targets, reduction=reduction)
        )
    x = inputs.double().requires_grad_()
    mine = torch.autograd.grad(ours(x, targets.double(), reduction="sum"), x)[0]
    reference = torch.autograd.grad(theirs(x, targets.double(), reduction="sum"), x)[0]
    torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-8)


def test_iou_forms_by_hand():
    assert losses.iou_loss(A, B) == 0.5
    assert losses.iou_loss(A, B, form="square") == 0.75
    assert losses.iou_loss(A, B, form="log").item() == pytest.approx(math.log(2))
    away = B + 100
    assert losses.iou_loss(A, away, form="log").item() == pytest.approx(-math.log(1e-6))
    with pytest.raises(ValueError, match="form"):
        losses.iou_loss(A, B, form="cube")


def test_the_family_is_one_minus_the_similarity():
    inputs, targets = pairs(seed=1)
    for name in ("giou", "diou", "ciou", "eiou", "siou", "nwd"):
        loss = getattr(losses, f"{name}_loss")(inputs, targets, reduction="none")
        torch.testing.assert_close(loss, 1 - getattr(boxes, name)(inputs, targets))
    assert losses.siou_loss(A, B).item() == pytest.approx(1 - 0.429264, abs=1e-6)
    focal = losses.eiou_loss(A, B, gamma=0.5).item()
    assert focal == pytest.approx(math.sqrt(0.5) * 0.8, rel=1e-6)


def test_a_flipped_prediction_counts_as_one_without_size():
    flipped = torch.tensor([[8.0, 0, 2, 10]])
    thin = torch.tensor([[8.0, 0, 8, 10]])
    for loss in (losses.giou_loss, losses.ciou_loss, losses.eiou_loss, losses.siou_loss):
        assert torch.equal(loss(flipped, B), loss(thin, B))


def test_no_overlap_still_pulls_the_boxes_together():
    for loss in (losses.giou_loss, losses.diou_loss, losses.siou_loss, losses.nwd_loss):
        x = torch.tensor([[30.0, 0, 40, 10]], requires_grad=True)
        loss(x, B).backward()
        assert x.grad[0, 0] + x.grad[0, 2] > 0, loss.__name__  # downhill is to the left


def test_alpha_iou_by_hand_and_identity():
    # IoU .5, distance .05: 1 - .125 + .05^3 (+ (alpha v)^3 for CIoU)
    value = losses.alpha_iou_loss(A, B, alpha=3.0, kind="diou").item()
    assert value == pytest.approx(0.875 + 0.05**3, rel=1e-5)
    inputs, targets = pairs(seed=2)
    for kind in ("iou", "giou", "diou", "ciou"):
        plain = getattr(losses, f"{kind}_loss")(inputs, targets)
        torch.testing.assert_close(
            losses.alpha_iou_loss(inputs, targets, alpha=1.0, kind=kind),
            plain,
            atol=1e-6,
            rtol=1e-5,
        )
        torch.testing.assert_close(
            losses.inner_iou_loss(inputs, targets, ratio=1.0, kind=kind),
            plain,
            atol=1e-5,
            rtol=1e-5,
        )
    with pytest.raises(ValueError, match="alpha"):
        losses.alpha_iou_loss(A, B, alpha=0.0)
    with pytest.raises(ValueError, match="kind"):
        losses.alpha_iou_loss(A, B, kind="siou")


def test_inner_iou_by_hand():
    # halves of the sides: 10 x 5 around (10, 5) and 5 x 5 around (5, 5): overlap 2.5 x 5 of 62.5
    value = losses.inner_iou_loss(A, B, ratio=0.5, kind="iou").item()
    assert value == pytest.approx(1 - 12.5 / 62.5)
    value = losses.inner_iou_loss(A, B, ratio=0.5, kind="diou").item()
    assert value == pytest.approx(1 - 12.5 / 62.5 + 0.05)
    apart = torch.tensor([[12.0, 0, 22, 10]], requires_grad=True)
    losses.inner_iou_loss(apart, B, ratio=1.5, kind="iou").backward()
    assert apart.grad.abs().sum() > 0  # scaled up, the boxes meet: a gradient where IoU has none
    with pytest.raises(ValueError, match="ratio"):
        losses.inner_iou_loss(A, B, ratio=0.0)


def test_bounded_iou_by_hand():
    # centres 5 px apart: x room (10 - 10) / (10 + 10) = 0; w fit 10 / 20; y and h perfect
    # smooth L1 at .2: 1 - .1 and .5 - .1
    value = losses.bounded_iou_loss(A, B, eps=0.0).item()
    assert value == pytest.approx(0.9 + 0.4)
    same_centre = torch.tensor([[-5.0, 0, 15, 10]])
    assert losses.bounded_iou_loss(same_centre, B, eps=0.0).item() == pytest.approx(0.4)


def test_constant_factors_leave_the_gradient_of_the_rest():
    """CIoU's alpha and Focal-EIoU's factor are constants: gradcheck with them frozen."""
    inputs, targets = pairs(4, seed=5, dtype=torch.float64)
    inputs.requires_grad_()
    factor = boxes.iou(inputs, targets).detach() ** 0.5

    def frozen(x):
        return (factor * (1 - boxes.eiou(x, targets))).sum()

    assert gradcheck(frozen, (inputs,))
    ours = losses.eiou_loss(inputs, targets, gamma=0.5, reduction="sum")
    torch.testing.assert_close(
        torch.autograd.grad(ours, inputs)[0], torch.autograd.grad(frozen(inputs), inputs)[0]
    )


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((0, 0, 10, 10), (5, 5, 15, 15), 0.957873),
        ((0, 0, 20, 10), (0, 0, 10, 10), 0.525636),
        ((0, 0, 4, 4), (10, 0, 14, 4), 1.602713),
        ((2, 2, 12, 7), (0, 0, 10, 10), 0.647545),
    ],
)
def test_wise_iou_v1_reference_values(a, b, wanted):
    a, b = (torch.tensor([x], dtype=torch.float64) for x in (a, b))
    assert losses.WiseIoULoss(version=1)(a, b).item() == pytest.approx(wanted, abs=1.1e-6)


def test_wise_iou_focus_and_running_mean_by_hand():
    base = 0.5 * math.exp(0.05)  # v1 of the pair with IoU .5
    second = losses.WiseIoULoss(version=2, momentum=0.5)
    # the mean moves from 1 half way to .5: .75; outlier = .5 / .75
    assert second(A, B).item() == pytest.approx(base * math.sqrt(2 / 3))
    assert second.mean.item() == pytest.approx(0.75)
    second.eval()
    assert second(A, B).item() == pytest.approx(base * math.sqrt(2 / 3))
    assert second.mean.item() == pytest.approx(0.75)
    third = losses.WiseIoULoss(version=3, momentum=0.0, alpha=1.9, delta=3.0)
    assert third(A, B).item() == pytest.approx(base * 0.5 / (3 * 1.9 ** (0.5 - 3)))
    assert "mean" in third.state_dict()
    empty = third(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4))
    assert empty == 0
    assert third.mean == 1
    with pytest.raises(ValueError, match="version"):
        losses.WiseIoULoss(version=4)


def test_wise_iou_gradient_ignores_diagonal_and_focus():
    a, b = A.double().requires_grad_(), B.double()
    module = losses.WiseIoULoss(version=3, momentum=0.0)
    (grad,) = torch.autograd.grad(module(a, b), a)
    diagonal = boxes.enclosing(a, b).square().sum(-1).detach()
    focus = 0.5 / (2.7 * 1.7 ** (0.5 - 2.7))
    squared = (boxes.centres(a) - boxes.centres(b)).square().sum(-1)
    frozen = (torch.exp(squared / diagonal) * (1 - boxes.iou(a, b)) * focus).sum()
    torch.testing.assert_close(grad, torch.autograd.grad(frozen, a)[0])


def test_alpha_of_the_aspect_term_is_a_constant_in_every_loss_that_uses_it():
    inputs, targets = pairs(6, seed=7, dtype=torch.float64)
    inputs.requires_grad_()
    ratio = boxes.sizes(targets)[:, 0] / boxes.sizes(targets)[:, 1]

    def v(x):
        side = boxes.sizes(x)
        return 4 / math.pi**2 * (torch.atan(ratio) - torch.atan(side[:, 0] / side[:, 1])) ** 2

    with torch.no_grad():
        overlap = boxes.iou(inputs, targets)
        alpha = v(inputs) / (1 - overlap + v(inputs))

    def scaled(x, share):
        centre, half = boxes.centres(x), boxes.sizes(x) * share / 2
        return torch.cat((centre - half, centre + half), 1)

    def power(x):
        distance = boxes.centre_distance(x, targets)
        return (1 - boxes.iou(x, targets) ** 3 + distance**3 + (alpha * v(x)) ** 3).sum()

    def inner(x):
        overlap = boxes.iou(scaled(x, 0.7), scaled(targets, 0.7))
        return (1 - overlap + boxes.centre_distance(x, targets) + alpha * v(x)).sum()

    for frozen, loss in ((power, losses.alpha_iou_loss), (inner, losses.inner_iou_loss)):
        assert gradcheck(frozen, (inputs,))
        ours = torch.autograd.grad(loss(inputs, targets, reduction="sum"), inputs)[0]
        wanted = torch.autograd.grad(frozen(inputs), inputs)[0]
        torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-9)
