"""What every loss promises, run for each of them."""

import functools

import pytest
import torch
from torch.autograd import gradcheck

from kedge import losses as L

BOX = {
    "iou": L.iou_loss,
    "iou-square": functools.partial(L.iou_loss, form="square"),
    "iou-log": functools.partial(L.iou_loss, form="log"),
    "giou": L.giou_loss,
    "diou": L.diou_loss,
    "ciou": L.ciou_loss,
    "eiou": L.eiou_loss,
    "focal-eiou": functools.partial(L.eiou_loss, gamma=0.5),
    "siou": L.siou_loss,
    "nwd": L.nwd_loss,
    "alpha-ciou": L.alpha_iou_loss,
    "alpha-giou": functools.partial(L.alpha_iou_loss, kind="giou", alpha=0.5),
    "inner-iou": functools.partial(L.inner_iou_loss, kind="iou", ratio=1.3),
    "inner-ciou": L.inner_iou_loss,
    "bounded": L.bounded_iou_loss,
    **{
        f"wise-{v}": (
            lambda a, b, reduction="mean", v=v: L.WiseIoULoss(version=v, reduction=reduction)(a, b)
        )
        for v in (1, 2, 3)
    },
}
CODE = {
    "smooth-l1": functools.partial(L.smooth_l1_loss, beta=0.11),
    "l1": functools.partial(L.smooth_l1_loss, beta=0.0),
    "balanced-l1": L.balanced_l1_loss,
    "balanced-l1-beta": functools.partial(L.balanced_l1_loss, beta=0.3),
    "ghm-r": lambda a, b, reduction="mean": L.GHMR(reduction=reduction)(a, b),
}
CLASS = {
    "focal": L.focal_loss,
    "focal-plain": functools.partial(L.focal_loss, alpha=None, gamma=0.5),
    "quality": L.quality_focal_loss,
    "varifocal": L.varifocal_loss,
    "ghm-c": lambda a, b, reduction="mean": L.GHMC(reduction=reduction)(a, b),
}
EVERY = BOX | CODE | CLASS
every = pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY.keys())


def example(loss, n=40, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    rand = functools.partial(torch.rand, generator=g, dtype=dtype)
    if loss in BOX.values():
        corner = rand(n, 2) * 50
        targets = torch.cat((corner, corner + 5 + rand(n, 2) * 40), 1)
        return targets + rand(n, 4) * 9 - 4.3, targets
    if loss in CODE.values():
        return rand(n, 4) * 3, rand(n, 4) * 3
    labels = torch.where(rand(n, 5) > 0.7, rand(n, 5), torch.zeros((), dtype=dtype))
    return 6 * rand(n, 5) - 3, labels


@every
def test_reductions_agree(loss):
    inputs, targets = example(loss)
    each = loss(inputs, targets, reduction="none")
    assert each.shape[0] == 40
    assert (each >= -1e-6).all()
    torch.testing.assert_close(loss(inputs, targets, reduction="sum"), each.sum())
    torch.testing.assert_close(loss(inputs, targets, reduction="mean"), each.mean())
    assert loss(inputs, targets).ndim == 0
    with pytest.raises(ValueError, match="reduction"):
        loss(inputs, targets, reduction="average")


@every
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_positives_give_a_zero_in_the_graph(loss, reduction):
    inputs, targets = example(loss, n=0)
    inputs.requires_grad_()
    value = loss(inputs, targets, reduction=reduction)
    assert value.requires_grad
    assert value.sum() == 0
    value.sum().backward()
    assert inputs.grad.shape == inputs.shape


@every
def test_gradient(loss):
    inputs, targets = example(loss, n=5, dtype=torch.float64, seed=2)
    inputs.requires_grad_()
    if loss in [EVERY[n] for n in ("ciou", "alpha-ciou", "inner-ciou", "focal-eiou")]:
        pytest.skip("a factor is constant by definition: see test_iou.py")
    if loss in [EVERY[n] for n in ("wise-1", "wise-2", "wise-3", "ghm-r", "ghm-c")]:
        pytest.skip("a weight is constant by definition: see its own file")
    assert gradcheck(lambda x: loss(x, targets), (inputs,))


@every
def test_half_precision_is_computed_in_float32(loss):
    inputs, targets = example(loss, n=8)
    inputs, targets = inputs.bfloat16(), targets.bfloat16()
    value = loss(inputs, targets)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(inputs.float(), targets.float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(inputs, targets), value)


@every
def test_shapes_must_agree_and_arguments_stay(loss):
    inputs, targets = example(loss, n=6)
    kept = inputs.clone(), targets.clone()
    loss(inputs, targets)
    assert torch.equal(inputs, kept[0])
    assert torch.equal(targets, kept[1])
    with pytest.raises(ValueError, match=r"\(6, . ?\) and targets|\(6, .\)"):
        loss(inputs, targets[:1])


@every
def test_extreme_inputs_stay_finite(loss):
    if loss in BOX.values():
        point, line, box = [5.0, 5, 5, 5], [5.0, 0, 5, 9], [0.0, 0, 10, 10]
        flipped, far, huge = [9.0, 9, 2, 3], [-1e5, -1e5, -9e4, -9e4], [-1e6, -1e6, 1e6, 1e6]
        rows = [(p, t) for p in (point, line, box, flipped, far, huge) for t in (point, line, box)]
        inputs = torch.tensor([r[0] for r in rows], requires_grad=True)
        targets = torch.tensor([r[1] for r in rows])
    elif loss in CODE.values():
        inputs = torch.tensor([[0.0, 1e4, -1e4, 1e-9]], requires_grad=True)
        targets = torch.zeros(1, 4)
    else:
        inputs = torch.tensor([[-200.0, 200.0, 0.0, 30.0, -30.0]] * 3, requires_grad=True)
        targets = torch.tensor([[0.0], [1.0], [0.4]]).expand(3, 5)
    value = loss(inputs, targets, reduction="none")
    value.sum().backward()
    assert value.isfinite().all()
    assert inputs.grad.isfinite().all()


BOX_ONLY = pytest.mark.parametrize("loss", BOX.values(), ids=BOX.keys())


@BOX_ONLY
def test_a_perfect_box_costs_nothing_and_a_worse_one_more(loss):
    target = torch.tensor([[10.0, 20.0, 60.0, 40.0]])
    # 1e-6: bounded IoU keeps eps in its denominators, alpha-IoU its floor
    assert loss(target, target, reduction="sum").item() == pytest.approx(0, abs=1e-3)
    near, far = target + torch.tensor([2.0, 0, 2, 0]), target + torch.tensor([20.0, 0, 20, 0])
    assert 0 < loss(near, target) < loss(far, target)


@BOX_ONLY
def test_a_step_against_the_gradient_helps(loss):
    inputs, targets = example(loss, n=30, dtype=torch.float64, seed=4)
    inputs.requires_grad_()
    before = loss(inputs, targets, reduction="none")
    (grad,) = torch.autograd.grad(before.sum(), inputs)
    step = 1e-3 / grad.abs().max()
    after = loss(inputs.detach() - step * grad, targets, reduction="none")
    assert after.sum() < before.sum()
