"""The dual weighting loss against its dense form, its gradients, and its edges."""

import pytest
import torch
import torch.nn.functional as F

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.dw import DW
from kedge.boxes import giou, iou
from kedge.losses.dw import dw_loss


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
    packed = Targets.from_list(targets)
    shake = 3 * torch.randn(*shape, 4, generator=rng, dtype=torch.float64)
    boxes = grid.boxes() + torch.tensor([-4.0, -4, 4, 4]) + shake
    return grid, packed, logits, boxes, branch


def dense_loss(grid, targets, logits, boxes, branch):
    """The authors' steps over (points x objects), one image at a time."""
    parts = torch.zeros(3).double()
    spared = torch.zeros(()).double()
    for image in range(targets.batch_size):
        rows = (targets.image == image).nonzero()[:, 0]
        goal, labels = targets.boxes[rows], targets.labels[rows]
        joint = logits[image].sigmoid() * branch[image].sigmoid()[:, None]
        weight = torch.ones_like(joint)
        if len(rows):
            xy = grid.points()[:, None]
            mask = ((xy > goal[:, :2]) & (xy < goal[:, 2:])).all(-1)  # (N, g)
            offset = (xy - (goal[:, :2] + goal[:, 2:]) / 2) / grid.stride()[:, None]
            prior = torch.exp(-(offset**2) / (2 * 1.11**2)).prod(-1) * mask
            far = 1 - giou(boxes[image][:, None], goal[None])
            p = joint[:, labels] * torch.exp(-5 * far)
            up = torch.exp(5 * p) * p * prior
            positive = (up / (torch.exp(3 * p) * p * prior).sum(0).clamp(min=1e-12)).detach()
            one = torch.ones_like(p)
            cls = F.binary_cross_entropy(joint[:, labels], one, reduction="none") * positive
            loc = F.binary_cross_entropy(torch.exp(-5 * far), one, reduction="none") * positive
            parts = parts + torch.stack([0.25 * cls.sum(), 0.25 * loc.sum(), torch.zeros(())])
            overlap = iou(boxes[image][:, None], goal[None]).detach()
            for g, label in enumerate(labels.tolist()):
                x = overlap[mask[:, g], g]
                value = -4 / 3 * x**2 + 4 / 3
                low, high = value.min(), value.max().clamp(max=1)
                value = (value - low + 1e-12) / (high - low + 1e-12)
                weight[mask[:, g], label] = torch.where(x < 0.5, 1.0, value)
        spared = spared + (1 - weight).sum()
        negative = weight * joint**2 * -torch.log1p(-joint)
        parts = parts + torch.stack([torch.zeros(()), torch.zeros(()), negative.sum()])
    count = len(targets)
    return {
        "positive": parts[0] / count,
        "box": parts[1] / count,
        "negative": parts[2] / spared.clamp(min=1),
    }


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form_with_its_gradients(seed):
    grid, targets, logits, boxes, branch = setup(seed)
    leaves = [t.requires_grad_() for t in (logits, boxes, branch)]
    predictions = Predictions.from_tensors(logits, boxes, branch)
    found = dw_loss(predictions, DW()(grid, targets, predictions))
    expected = dense_loss(grid, targets, logits, boxes, branch)
    torch.testing.assert_close(found, expected, check_dtype=False)
    for one, other in zip(
        torch.autograd.grad(sum(found.values()), leaves),
        torch.autograd.grad(sum(expected.values()), leaves),
    ):
        torch.testing.assert_close(one, other)


def test_gradients():
    grid, targets, logits, boxes, branch = setup(1)
    fixed = DW()(grid, targets, Predictions.from_tensors(logits, boxes, branch))

    def loss(*leaves):
        return sum(dw_loss(Predictions.from_tensors(*leaves), fixed).values())

    leaves = [t.requires_grad_() for t in (logits, boxes, branch)]
    assert torch.autograd.gradcheck(loss, leaves)


@pytest.mark.parametrize("extreme", [-300.0, 300.0])
def test_extreme_scores_stay_finite(extreme):
    grid, targets, logits, boxes, _ = setup(2)
    grid = grid.with_shapes(grid.shapes.float())
    logits = torch.full_like(logits, extreme).float().requires_grad_()
    boxes = boxes.float().requires_grad_()
    predictions = Predictions.from_tensors(logits, boxes)
    sum(dw_loss(predictions, DW()(grid, targets, predictions)).values()).backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(boxes.grad).all()


def test_no_objects_leaves_the_background():
    grid, _, logits, boxes, branch = setup()
    empty = Targets.from_list([{"boxes": torch.zeros(0, 4).double()}] * 3)
    predictions = Predictions.from_tensors(logits.requires_grad_(), boxes, branch)
    parts = dw_loss(predictions, DW()(grid, empty, predictions))
    assert parts["positive"] == parts["box"] == 0
    assert parts["negative"] > 0
    sum(parts.values()).backward()
