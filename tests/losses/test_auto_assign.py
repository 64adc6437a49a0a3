"""AutoAssign's likelihood against its dense form, its gradients, and its edges."""

import pytest
import torch
import torch.nn.functional as F

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.auto_assign import AutoAssign
from kedge.boxes import giou, iou
from kedge.losses.auto_assign import auto_assign_loss


def setup(seed=0, classes=3, counts=(2, 0, 3)):
    rng = torch.Generator().manual_seed(seed)
    grid = Grid((32, 48), [Level(stride=8), Level(stride=16)])
    grid = grid.with_shapes(grid.shapes.double())
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * 20
        size = 10 + 14 * torch.rand(count, 2, generator=rng, dtype=torch.float64)
        labels = torch.randperm(classes, generator=rng)[:count]
        targets.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    shape = (len(counts), len(grid))
    logits = torch.randn(*shape, classes, generator=rng, dtype=torch.float64)
    branch = torch.randn(*shape, generator=rng, dtype=torch.float64)
    shake = 6 * torch.rand(*shape, 4, generator=rng, dtype=torch.float64)
    boxes = grid.boxes() + torch.tensor([-1.0, -1, 1, 1]) * shake
    return grid, Targets.from_list(targets), logits, boxes, branch


def dense_loss(grid, targets, logits, boxes, branch, mean, sigma):
    """MMDetection's steps over (points x objects), one image at a time."""
    positive, negative, centre, mass = (torch.zeros(()).double() for _ in range(4))
    for image in range(targets.batch_size):
        rows = (targets.image == image).nonzero()[:, 0]
        goal, labels = targets.boxes[rows], targets.labels[rows]
        joint = logits[image].sigmoid() * branch[image].sigmoid()[:, None]
        background = torch.ones_like(joint)
        if len(rows):
            xy = grid.points()[:, None]
            mask = ((xy > goal[:, :2]) & (xy < goal[:, 2:])).all(-1)  # (N, g)
            offset = (xy - (goal[:, :2] + goal[:, 2:]) / 2) / grid.stride()[:, None]
            prior = torch.exp(-((offset - mean[labels]) ** 2) / (2 * sigma[labels] ** 2)).prod(-1)
            prior = prior * mask
            p = joint[:, labels] * torch.exp(-5 * (1 - giou(boxes[image][:, None], goal[None])))
            share = torch.exp(3 * p) * prior
            reached = (p * share / share.sum(0)).sum(0)
            positive = positive + F.binary_cross_entropy(
                reached, torch.ones_like(reached), reduction="sum"
            )
            overlap = iou(boxes[image][:, None], goal[None]).detach()
            highest = torch.where(mask, overlap, -1.0).amax(1)
            for g, label in enumerate(labels.tolist()):
                value = 1 / (1 - highest[mask[:, g]])
                low, high = value.min(), value.max()
                background[mask[:, g], label] = 1 - (value - low + 1e-12) / (high - low + 1e-12)
            centre = centre + len(rows) / prior.sum()
            mass = mass + prior.sum().detach()
        q = joint * background
        negative = negative + (q**2 * -torch.log1p(-q)).sum()
    return {
        "positive": 0.25 * positive / len(targets),
        "negative": 0.75 * negative / mass.clamp(min=1),
        "centre": 0.75 * centre / targets.batch_size,
    }


def learned(seed=0):
    assign = AutoAssign(num_classes=3).double()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        assign.mean.copy_(torch.randn(3, 2, generator=rng, dtype=torch.float64) / 3)
        assign.sigma.copy_(0.5 + torch.rand(3, 2, generator=rng, dtype=torch.float64))
    return assign


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form_with_its_gradients(seed):
    grid, targets, logits, boxes, branch = setup(seed)
    leaves = [t.requires_grad_() for t in (logits, boxes, branch)]
    assign = learned(seed)
    predictions = Predictions.from_tensors(logits, boxes, branch)
    assignment = assign(grid, targets, predictions)
    found = auto_assign_loss(predictions, assignment, assign.prior(grid, assignment))
    expected = dense_loss(grid, targets, logits, boxes, branch, assign.mean, assign.sigma)
    torch.testing.assert_close(found, expected)
    leaves += [assign.mean, assign.sigma]
    for one, other in zip(
        torch.autograd.grad(sum(found.values()), leaves),
        torch.autograd.grad(sum(expected.values()), leaves),
    ):
        torch.testing.assert_close(one, other)


def test_gradients():
    grid, targets, logits, boxes, branch = setup(1)
    assign = learned(1)
    assignment = assign(grid, targets, Predictions.from_tensors(logits, boxes, branch))

    def loss(logits, boxes, branch, mean, sigma):
        predictions = Predictions.from_tensors(logits, boxes, branch)
        with torch.no_grad():
            assign.mean.copy_(mean)
            assign.sigma.copy_(sigma)
        prior = assign.prior(grid, assignment)
        return sum(auto_assign_loss(predictions, assignment, prior).values())

    leaves = [t.requires_grad_() for t in (logits, boxes, branch)]
    # the normaliser of the negatives is the prior, detached: mean and sigma are checked above
    fixed = (assign.mean.detach().clone(), assign.sigma.detach().clone())
    assert torch.autograd.gradcheck(lambda *x: loss(*x, *fixed), leaves)


@pytest.mark.parametrize("extreme", [-300.0, 300.0])
def test_extreme_scores_stay_finite(extreme):
    grid, targets, logits, boxes, _ = setup(2)
    grid = grid.with_shapes(grid.shapes.float())
    logits = torch.full_like(logits, extreme).float().requires_grad_()
    boxes = (boxes * 30).float().requires_grad_()
    assign = AutoAssign(num_classes=3)
    predictions = Predictions.from_tensors(logits, boxes)
    assignment = assign(grid, targets, predictions)
    parts = auto_assign_loss(predictions, assignment, assign.prior(grid, assignment))
    sum(parts.values()).backward()
    for leaf in (logits, boxes, assign.mean, assign.sigma):
        assert torch.isfinite(leaf.grad).all()


def test_no_objects_leaves_the_background():
    grid, _, logits, boxes, branch = setup()
    empty = Targets.from_list([{"boxes": torch.zeros(0, 4).double()}] * 3)
    assign = AutoAssign(num_classes=3).double()
    predictions = Predictions.from_tensors(logits.requires_grad_(), boxes, branch)
    assignment = assign(grid, empty, predictions)
    parts = auto_assign_loss(predictions, assignment, assign.prior(grid, assignment))
    assert parts["positive"] == parts["centre"] == 0
    assert parts["negative"] > 0
    sum(parts.values()).backward()
    assert torch.isfinite(assign.mean.grad).all()
