"""FreeAnchor's likelihood against its dense form, by hand, and its gradients."""

import pytest
import torch
import torch.nn.functional as F

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.free_anchor import FreeAnchor
from kedge.boxes import iou
from kedge.coders import DeltaCoder
from kedge.losses.free_anchor import free_anchor_loss

CODER = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))


def setup(seed=0, classes=3, counts=(3, 0, 2)):
    rng = torch.Generator().manual_seed(seed)
    shapes = torch.tensor([[14.0, 14], [20, 10]], dtype=torch.float64)
    grid = Grid((24, 40), [Level(stride=8, shapes=shapes)])
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * 20
        size = 6 + 12 * torch.rand(count, 2, generator=rng, dtype=torch.float64)
        labels = torch.randint(classes, (count,), generator=rng)
        targets.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    shape = (len(counts), len(grid))
    logits = torch.randn(*shape, classes, generator=rng, dtype=torch.float64)
    codes = torch.randn(*shape, 4, generator=rng, dtype=torch.float64)
    return grid, Targets.from_list(targets), logits, codes


def dense_loss(grid, targets, logits, codes, rule, alpha=0.5, gamma=2.0):
    """The paper's equation, one image at a time."""
    positive, negative = torch.zeros(()).double(), torch.zeros(()).double()
    base = grid.boxes()
    for image in range(targets.batch_size):
        rows = (targets.image == image).nonzero()[:, 0]
        boxes, labels = targets.boxes[rows], targets.labels[rows]
        p = logits[image].sigmoid()
        match = torch.zeros_like(p)
        for box, label in zip(boxes, labels):
            quality = iou(box[None], base)
            bag = [
                i for i in quality.argsort(descending=True, stable=True).tolist() if quality[i] > 0
            ][: rule.k]
            wanted = CODER.encode(base[bag], box.expand(len(bag), 4))
            away = F.smooth_l1_loss(codes[image][bag], wanted, beta=0.11, reduction="none").sum(1)
            x = p[bag, label] * torch.exp(-0.75 * away)
            weight = 1 / (1 - x).clamp(min=1e-12)
            positive = positive - ((weight * x).sum() / weight.sum()).log()
            with torch.no_grad():
                overlap = iou(box[None], CODER.decode(base, codes[image]))
                top = max(float(overlap.max()), rule.match_iou + 1e-12)
                chance = ((overlap - rule.match_iou) / (top - rule.match_iou)).clamp(0, 1)
                match[:, label] = torch.maximum(match[:, label], chance)
        q = p * (1 - match)
        negative = negative + (q**gamma * -torch.log1p(-q)).sum()
    count = max(1, len(targets))
    return alpha * positive / count, (1 - alpha) * negative / (50 * count)


@pytest.mark.parametrize("rule", [FreeAnchor(k=6, match_iou=0.2), FreeAnchor(k=4, match_iou=0.1)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form(rule, seed):
    grid, targets, logits, codes = setup(seed)
    predictions = Predictions.from_dense(logits, codes, grid, CODER)
    assignment = rule(grid, targets, predictions)
    assert len(assignment.background_weight.anchor) > 0
    found = free_anchor_loss(predictions, assignment)
    positive, negative = dense_loss(grid, targets, logits, codes, rule)
    torch.testing.assert_close(found["positive"], positive)
    torch.testing.assert_close(found["negative"], negative)


def test_gradients():
    grid, targets, logits, codes = setup(1)
    rule = FreeAnchor(k=6, match_iou=0.2)
    fixed = rule(grid, targets, Predictions.from_dense(logits, codes, grid, CODER))

    def loss(logits, codes):
        parts = free_anchor_loss(Predictions.from_dense(logits, codes, grid, CODER), fixed)
        return parts["positive"] + parts["negative"]

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(), codes.requires_grad_()))


def test_a_bag_by_hand():
    """P .2, .5 and .9 in one bag, boxes exact: mean-max .773585 (the reference value)."""
    grid = Grid((8, 24), [Level(stride=8)])
    boxes = grid.boxes()
    targets = Targets.from_list([{"boxes": [[0.0, 0, 24, 8]], "labels": [0]}])
    codes = DeltaCoder().encode(boxes, targets.boxes.expand(3, 4))[None]
    logits = torch.logit(torch.tensor([[[0.2], [0.5], [0.9]]]))
    predictions = Predictions.from_dense(logits, codes, grid, DeltaCoder())
    found = free_anchor_loss(predictions, FreeAnchor()(grid, targets, predictions))
    torch.testing.assert_close(found["positive"], -0.5 * torch.tensor(0.773585).log())
    assert found["negative"] == 0  # every anchor predicts the object: all match


@pytest.mark.parametrize("extreme", [-200.0, 200.0])
def test_extreme_scores_stay_finite(extreme):
    grid, targets, logits, codes = setup(2)
    logits = torch.full_like(logits, extreme).float().requires_grad_()
    codes = (codes * 30).float().requires_grad_()
    grid = grid.with_shapes(grid.shapes.float())
    predictions = Predictions.from_dense(logits, codes, grid, CODER)
    parts = free_anchor_loss(predictions, FreeAnchor()(grid, targets, predictions))
    (parts["positive"] + parts["negative"]).backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(codes.grad).all()


def test_no_objects_leaves_the_background():
    grid, _, logits, codes = setup()
    predictions = Predictions.from_dense(logits.requires_grad_(), codes, grid, CODER)
    empty = Targets.from_list([{"boxes": torch.zeros(0, 4).double()}] * 3)
    parts = free_anchor_loss(predictions, FreeAnchor()(grid, empty, predictions))
    assert parts["positive"] == 0
    assert parts["negative"] > 0
    sum(parts.values()).backward()


def test_decoded_boxes_are_refused():
    grid, targets, logits, _ = setup()
    predictions = Predictions.from_tensors(logits, grid.boxes().expand(3, -1, -1))
    assignment = FreeAnchor()(grid, targets, predictions)
    with pytest.raises(ValueError, match="from_dense"):
        free_anchor_loss(predictions, assignment)
