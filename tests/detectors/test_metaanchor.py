"""MetaAnchor by hand: generated layers against plain ones, priors in any order and number."""

import pytest
import torch
from torch.nn import functional as F

from detectors.scenes import OWN, batch, make
from kedge.detectors import MetaAnchor
from kedge.nn import GeneratedSubnet
from kedge.types import Targets

IMAGES, TARGETS = batch()
PIXELS = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def generated(seed=0):
    """A subnet whose generator says something."""
    torch.manual_seed(seed)
    net = GeneratedSubnet(8, 3, hidden=5, depth=1, prior=0.01)
    torch.nn.init.normal_(net.second.weight, std=0.1)
    return net


def test_untrained_it_is_a_layer_that_all_shapes_share():
    net = GeneratedSubnet(8, 3, hidden=5, depth=1, prior=0.01)
    x, priors = torch.randn(2, 8, 4, 5), torch.randn(6, 2)
    found = net([x], [priors]).view(2, 4, 5, 6, 3)
    plain = net.theta(net.tower(x)).permute(0, 2, 3, 1)
    assert torch.allclose(found, plain[:, :, :, None].expand_as(found), atol=1e-6)
    assert torch.allclose(found.sigmoid().mean(), torch.tensor(0.01), rtol=0.2)


def test_a_layer_is_theta_and_what_its_prior_adds():
    """The formula, prior by prior: theta + W2 relu(W1 b), biases first in the rows of W2."""
    net, x, priors = generated(), torch.randn(2, 8, 4, 5), torch.randn(3, 2)
    found = net([x], [priors]).view(2, 4, 5, 3, 3)
    for number, b in enumerate(priors):
        change = net.second.weight @ F.relu(net.first.weight @ b + net.first.bias)
        change = change.view(3, 1 + 8 * 9)
        weight = net.theta.weight + change[:, 1:].view(3, 8, 3, 3)
        plain = F.conv2d(net.tower(x), weight, net.theta.bias + change[:, 0], padding=1)
        assert torch.allclose(found[:, :, :, number], plain.permute(0, 2, 3, 1), atol=1e-5)


def test_priors_in_another_order_give_outputs_in_that_order():
    net, x, priors = generated(), torch.randn(1, 8, 4, 5), torch.randn(4, 2)
    order = torch.tensor([2, 0, 3, 1])
    found = net([x], [priors]).view(20, 4, 3)[:, order]
    assert torch.allclose(found, net([x], [priors[order]]).view(20, 4, 3), atol=1e-6)


def test_gradient_of_the_priors():
    net = generated().double()
    x = torch.randn(1, 8, 2, 3, dtype=torch.float64)
    priors = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: net([x], [b]), priors)


def test_every_batch_has_shapes_of_its_own_in_training_only():
    model = make("metaanchor")
    shapes = model.shapes.shapes
    drawn = model.train().head(PIXELS).anchors.shapes
    assert 0.03 < float((drawn / shapes).log().std()) < 0.2
    assert not torch.equal(drawn, model.head(PIXELS).anchors.shapes)
    said = model.eval().head(PIXELS)
    assert torch.equal(said.anchors.shapes, shapes)
    quiet = make("metaanchor", noise=0.0).train()
    assert torch.equal(quiet.head(PIXELS).anchors.shapes, shapes)
    with pytest.raises(ValueError, match="noise must not be negative"):
        make("metaanchor", noise=-1.0)


def test_any_priors_afterwards():
    model = make("metaanchor").eval()
    torch.nn.init.normal_(model.classes.second.weight, std=0.05)
    before = model.head(PIXELS)
    model.set_priors_([list(reversed(level)) for level in OWN])
    after = model.head(PIXELS)
    rows = torch.arange(2 * len(before.anchors))
    place = before.anchors.place(rows)
    per = before.anchors.rows.per[before.anchors.row_and_cell(rows)[0]]
    mirrored = rows - place.shape + (per - 1 - place.shape)
    assert torch.allclose(after.class_rows[mirrored], before.class_rows, atol=1e-5)
    others = [[(9.0 + n, 200.0) for n in range(count)] for count in (1, 3, 2, 1, 4)]
    model.set_priors_(others)
    said = model.head(PIXELS)
    assert len(said.anchors) != len(before.anchors)
    assert torch.isfinite(said.logits).all()
    losses = model.train().losses(PIXELS, Targets.from_list(TARGETS[:2])).losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    with pytest.raises(ValueError, match="5 levels"):
        model.set_priors_(others[:2])


def test_shapes_are_taught_by_their_boxes_alone():
    """The layers read the shapes without a graph, though they are a function of them."""
    model = make("metaanchor", learn=True).train()
    torch.nn.init.normal_(model.boxes.second.weight, std=0.05)
    losses = model(IMAGES, TARGETS)
    for name, loss in losses.items():
        (slope,) = torch.autograd.grad(
            loss, model.shapes.log_shapes, retain_graph=True, allow_unused=True
        )
        assert (slope is not None and bool(slope.any())) == (name == "box")
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert MetaAnchor(num_classes=2, width=8).shapes.levels[0].shapes_tensor().shape == (9, 2)
