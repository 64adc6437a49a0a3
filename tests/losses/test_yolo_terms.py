"""The terms of YOLO's losses by hand: places as a cross-entropy, linear outputs, objectness."""

import math

import pytest
import torch

from kedge import Grid, Level, Predictions, Targets
from kedge.coders import DeltaCoder, YOLOv2Coder
from kedge.losses import CellCodes, Objectness, Squares
from kedge.losses.objectness import linear
from kedge.scores import Linear
from kedge.types import Assignment

# 2 x 2 cells of 16 px with one 16 x 16 shape; an object of 16 x 8 at (12, 8), in cell (0, 0)
OBJECT = torch.tensor([[4.0, 4.0, 20.0, 12.0]])


def scene(codes, coder=None):
    grid = Grid((32, 32), [Level(stride=16, shapes=[(16.0, 16.0)])])
    targets = Targets.from_list([{"boxes": OBJECT.to(codes), "labels": torch.tensor([0])}])
    logits = torch.zeros(1, 4, 1, dtype=codes.dtype)
    said = Predictions.from_codes(logits, codes, grid, coder or YOLOv2Coder(), logits[..., 0])
    pair = torch.tensor([0])
    return said, Assignment(anchor=pair, target=pair, num_anchors=4, targets=targets)


def test_cell_codes_on_paper():
    """Place .75 and .5, both said to be 1/2: cross-entropy log 2 each. Sizes log(16/16) and
    log(8/16), said to be 0."""
    said, pairs = scene(torch.zeros(1, 4, 4))
    size = math.log(0.5) ** 2 / 2
    plain = CellCodes(by_size=False)(said, pairs)
    assert plain.item() == pytest.approx(2 * math.log(2) + size, rel=1e-5)
    scaled = CellCodes()(said, pairs).item()
    assert scaled == pytest.approx((2 - 16 * 8 / 32**2) * plain.item(), rel=1e-5)
    weighed = CellCodes(place=2.0, size=4.0, by_size=False)(said, pairs).item()
    assert weighed == pytest.approx(4 * math.log(2) + 4 * size, rel=1e-5)


def test_the_gradient_of_cell_codes_is_darknets_delta():
    codes = torch.randn(1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    codes.requires_grad_()
    said, pairs = scene(codes)
    (gradient,) = torch.autograd.grad(CellCodes(by_size=False)(said, pairs).sum(), codes)
    goal = torch.tensor([0.75, 0.5, 0.0, math.log(0.5)], dtype=torch.float64)
    output = torch.cat([codes[0, 0, :2].sigmoid(), codes[0, 0, 2:]])
    assert torch.allclose(gradient[0, 0], output - goal)
    assert (gradient[0, 1:] == 0).all()
    assert torch.autograd.gradcheck(lambda c: CellCodes()(*scene(c)), (codes,))


def test_cell_codes_refuse_other_coders():
    with pytest.raises(ValueError, match="which YOLOv2Coder writes; this coder is DeltaCoder"):
        CellCodes()(*scene(torch.zeros(1, 4, 4), DeltaCoder()))


def test_linear_classes_on_paper():
    logits = torch.tensor([[0.2, -0.1], [1.5, 0.5]])
    loss = Squares()(logits, torch.tensor([1]), torch.tensor([0.8]), torch.tensor([True, True]))
    wanted = [[0.2**2 / 2, 0.1**2 / 2], [1.5**2 / 2, 0.3**2 / 2]]
    assert torch.allclose(loss, torch.tensor(wanted))
    assert Linear().probability(logits).tolist() == [[pytest.approx(0.2), 0], [1, 0.5]]
    odds = Linear().log_odds(logits)
    assert torch.isfinite(odds).all()
    assert torch.allclose(odds.sigmoid(), Linear().probability(logits), atol=2e-6)
    rows, labels = torch.tensor([1, 0]), torch.tensor([1, 0])
    assert torch.equal(Linear().log_odds_of(logits, rows, labels), odds[rows, labels])


@pytest.mark.parametrize(("by_quality", "goal"), [(True, 0.3), (False, 1.0)])
def test_objectness_learns_the_quality_or_that_there_is_something(by_quality, goal):
    said, pairs = scene(torch.zeros(1, 4, 4))
    pairs = Assignment(
        anchor=pairs.anchor, target=pairs.target, num_anchors=4, targets=pairs.targets,
        quality=torch.tensor([0.3]),
    )  # fmt: skip
    assert Objectness(by_quality=by_quality).goal(said, pairs).tolist() == [pytest.approx(goal)]
    rescored = Objectness(by_quality=by_quality, rescore=True).goal(said, pairs)
    assert rescored.item() == pytest.approx(goal / 3)  # IoU 96 / 288


def test_objectness_of_another_branch_and_without_a_sigmoid():
    said, pairs = scene(torch.zeros(1, 4, 4))
    branches = {"confidence": torch.tensor([[0.25, 0.5, -1.0, 0.0]])}
    said = Predictions(
        logits=said.logits, codes=said.codes, anchors=said.anchors, coder=said.coder,
        branches=branches,
    )  # fmt: skip
    term = Objectness(background=0.5, confidence=linear, branch="confidence")
    assert term.pairs(said, pairs).tolist() == [0.75**2 / 2]
    assert term.elsewhere(said).tolist() == [0.25**2 / 4, 0.25 / 4, 1 / 4, 0]
