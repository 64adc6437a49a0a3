"""DeNet by hand: what its corners should be, samples of features, proposals in their images."""

import math

import pytest
import torch

from detectors.scenes import batch, make
from kedge.detectors import DeNet
from kedge.nn import GridSample
from kedge.types import Targets

IMAGES, TARGETS = batch()


def corners(box, size=(8, 12), high=20.0):
    """Log odds of stride 8 that show a box, and the cells that they show it at."""
    x1, y1 = round(box[0] / 8), round(box[1] / 8)
    x2, y2 = max(x1, round(box[2] / 8) - 1), max(y1, round(box[3] / 8) - 1)
    odds = torch.full((1, 4, *size), -high)
    for kind, (x, y) in enumerate(((x1, y1), (x2, y1), (x1, y2), (x2, y2))):
        odds[0, kind, y, x] = high
    return odds


def test_corner_targets():
    """The object of 17 to 41 and 6 to 30 px begins in cell (2, 1) and ends in cell (4, 3); one
    without a cell of its own ends where it begins."""
    model = DeNet(num_classes=1, width=8)
    for box in ([17.0, 6, 41, 30], [40.0, 32, 41, 33], [0.0, 0, 96, 64]):
        targets = Targets.from_list([{"boxes": torch.tensor([box])}])
        assert float(model.corner_loss(corners(box), targets)) < 1e-3
        far = model.corner_loss(-corners(box), targets)
        assert float(far) == pytest.approx(100 * 20 / math.log(2), rel=1e-3)
    even = model.corner_loss(torch.zeros(1, 4, 8, 12), targets)
    assert float(even) == pytest.approx(100.0)  # a bit a cell
    crowd = {"boxes": torch.tensor([[0.0, 0, 96, 64]]), "iscrowd": torch.ones(1)}
    assert float(model.corner_loss(torch.zeros(1, 4, 8, 12), Targets.from_list([crowd]))) == 0


def test_proposals_are_boxes_of_whole_cells_within_their_images():
    model = DeNet(num_classes=1, width=8)
    found = model._proposals(corners([17.0, 6, 41, 30]), torch.tensor([[64, 96]]))
    assert found.boxes[0].tolist() == [16, 8, 40, 32]
    assert float(found.scores[0]) == pytest.approx(1.0)
    cut = model._proposals(corners([17.0, 6, 41, 30]), torch.tensor([[64, 30]]))
    assert cut.boxes[0].tolist() == [16, 8, 30, 32]
    assert len(model._proposals(corners([64.0, 40, 96, 64]), torch.tensor([[40, 60]]))) == 0
    boxes = model._with_random(found, torch.tensor([[64, 96]]))
    assert len(boxes) == len(found) + 10
    assert (boxes.boxes() >= 0).all()
    assert (boxes.boxes()[:, 2:] <= torch.tensor([96, 64])).all()
    assert (boxes.shape_of() >= 0).all()


def test_samples_of_the_features():
    """Cells say their own number. A box of 2 x 3 cells read at 2 x 2 points, and a box of one
    pixel, which reads one cell four times."""
    x = torch.arange(24.0, requires_grad=True).view(1, 1, 4, 6).requires_grad_()
    boxes = torch.tensor([[8.0, 0, 24, 24], [40.0, 24, 41, 25]])
    found = GridSample(8.0, size=2)([x], boxes, torch.tensor([0, 0]))
    assert found[0].tolist() == [1, 2, 13, 14, pytest.approx(16 / 48), pytest.approx(0.75)]
    assert found[1, :4].tolist() == [23] * 4
    (slope,) = torch.autograd.grad(found[:, :4].sum(), x)
    assert slope.flatten().nonzero()[:, 0].tolist() == [1, 2, 13, 14, 23]
    assert slope[0, 0, 3, 5] == 4


def test_learning():
    model = make("denet").train()
    losses = model(IMAGES, TARGETS)
    assert set(losses) == {"corner", "classification", "box"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ValueError, match="no strategy assigns"):
        model.losses(torch.rand(3, 3, 64, 96), Targets.from_list(TARGETS), assign=lambda *_: None)
    found = model.eval().propose(torch.rand(3, 3, 64, 96))
    assert set(found.labels.tolist()) == {0}
    assert len(found) > 0
    torch.nn.init.constant_(model.corners.bias, -20.0)
    assert [len(one["boxes"]) for one in model(IMAGES)] == [0, 0, 0]
