"""RefineDet by hand, without a peer: what the first step says is set, the second looked at."""

import pytest
import torch

from kedge import Boxes
from kedge.assign import SSDMatch
from kedge.coders import DeltaCoder
from kedge.detectors import RefineDet, Stage
from kedge.detectors.refinement import RefinedHead
from kedge.losses import multibox_loss
from kedge.sample import All
from kedge.select import NMS, Selection
from kedge.types import Predictions, Targets

CLASSES = 3
TARGETS = [  # each has one best anchor, which nothing ties with
    {
        "boxes": torch.tensor([[11.3, 9.2, 46.1, 38.4], [62.7, 31.1, 112.2, 52.3]]),
        "labels": torch.tensor([0, 2]),
    },
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()},
]
PACKED = Targets.from_list(TARGETS)
SIZES = torch.tensor([[64, 128]] * 2)


def images():
    return torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))


def model(objectness=None, **settings):
    """With ``objectness`` the first step says this logit everywhere, and moves nothing."""
    torch.manual_seed(0)
    made = RefineDet(num_classes=CLASSES, width=8, **settings)
    if objectness is not None:
        layers = made.proposals.layers
        for layer in (*layers.classes, *layers.codes):
            torch.nn.init.zeros_(layer.weight)
        for layer in layers.classes:
            with torch.no_grad():
                layer.bias.copy_(torch.tensor([objectness, 0.0]).repeat(len(layer.bias) // 2))
    return made


def test_where_the_first_step_is_sure_and_moves_nothing_the_second_is_ssd():
    made = model(objectness=9.0).eval()
    maps, _ = made._first(images())
    logits, codes = made.regions.layers(maps)
    grid, scores = made.grid((64, 128)), multibox_loss().class_scores
    ssd = Predictions.from_dense(logits, codes, grid, made.regions.coder, scores)
    rules = Selection(
        score=0.01, top="class", candidates=1000, suppress=NMS(threshold=0.45), most=500
    )
    expected, found = rules(ssd, scores.probability(ssd.class_rows), SIZES), made.detect(images())
    assert len(found) == len(expected) > 0
    assert torch.allclose(found.boxes, expected.boxes, atol=1e-4)
    assert torch.equal(found.labels, expected.labels)
    assert torch.allclose(found.scores, expected.scores, atol=1e-6)
    stage = Stage(assign=SSDMatch(first="greedy"), loss=multibox_loss(), sample=made.regions.sample)
    wanted, got = stage(ssd, PACKED).losses, made.losses(images(), PACKED).losses
    for name, loss in wanted.items():
        assert torch.allclose(got[name], loss, rtol=1e-5)


def test_refined_anchors_that_do_not_move_are_assigned_as_the_grid_is():
    made = model(objectness=0.0)
    _, first = made._first(images())
    boxes = made.refined(first)
    assert isinstance(boxes, Boxes)
    assert (boxes.per_image, boxes.num_levels) == (len(made.grid((64, 128))), 4)
    assert torch.equal(boxes.level(), made.grid((64, 128)).level().repeat(2))
    on_list, on_grid = (
        made.regions.assign(boxes, PACKED),
        made.proposals.assign(first.anchors, PACKED),
    )
    assert len(on_list) > 2
    pairs = [dict(zip(a.anchor.tolist(), a.target.tolist())) for a in (on_list, on_grid)]
    assert pairs[0] == pairs[1]


def test_refined_anchors_stand_where_the_first_step_says():
    made = model(objectness=0.0)
    with torch.no_grad():
        for layer in made.proposals.layers.codes:
            layer.bias.copy_(torch.tensor([10.0, 0, 0, 5 * torch.log(torch.tensor(2.0))]).repeat(3))
    _, first = made._first(images())
    moved, grid = made.refined(first).boxes(), made.grid((64, 128))
    before = grid.boxes().repeat(2, 1)
    width, height = (before[:, 2:] - before[:, :2]).unbind(1)
    assert torch.allclose(moved[:, 0] - before[:, 0], width, rtol=1e-4)  # 10 x .1 widths
    assert torch.allclose(moved[:, 3] - moved[:, 1], 2 * height, rtol=1e-4)  # exp(5 log 2 x .2)
    assert not moved.requires_grad


def test_the_second_step_learns_nothing_from_easy_background_but_all_pairs():
    """Four boxes, all logits 0, so that each costs log 4: the pair, and the background that is not
    easy."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]])
    head = RefinedHead(
        torch.nn.Identity(), num_classes=3, assign=SSDMatch(), sample=All(), coder=DeltaCoder(),
        loss=multibox_loss(), selection=Selection(score=0.0),
    )  # fmt: skip
    said = Predictions.from_dense(
        torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), Boxes(boxes), head.coder, head.loss.class_scores
    )
    targets = Targets.from_list([{"boxes": boxes[0, :1], "labels": torch.tensor([1])}])
    log4 = torch.tensor(4.0).log().item()
    for easy, count in (([0, 0, 0, 0], 4), ([0, 1, 0, 1], 2), ([1, 0, 1, 1], 2), ([1, 1, 1, 1], 1)):
        outcome = head.losses(said, targets, torch.tensor(easy).bool())
        loss = outcome.losses["classification"].item()
        assert loss == pytest.approx(count * log4, rel=1e-5)
        assert len(outcome.assignment) == 1
    found = head.detect(said, torch.tensor([[20, 80]]), torch.tensor([0, 1, 0, 1]).bool())
    assert set(found.boxes[:, 0].tolist()) == {0.0, 40.0}


def test_where_the_first_step_sees_nothing_nothing_is_found_and_background_teaches_nothing():
    made = model(objectness=-5.0)  # a probability of .0067
    losses = made.losses(images(), PACKED)
    first = made._first(images())[1]
    assert made.easy(first).all()
    chosen = made.regions.assign(made.refined(first), PACKED)
    second = made.regions.predict(made._first(images())[0], made.refined(first))
    alone = -second.logits_at(chosen.anchor).log_softmax(-1).gather(1, chosen.labels[:, None])
    assert torch.allclose(losses.losses["classification"], alone.sum() / len(chosen), rtol=1e-4)
    assert len(made.eval().detect(images())) == 0
    made.min_objectness = 0.005
    assert len(made.detect(images())) > 0


def test_the_second_steps_losses_reach_neither_what_the_first_says_nor_the_shapes():
    made = model(learn=True)
    said = list(made.proposals.layers.parameters())
    losses = made.losses(images(), PACKED).losses
    assert set(losses) == {"proposal_classification", "proposal_box", "classification", "box"}
    for name, loss in losses.items():
        reached = torch.autograd.grad(
            loss, [*said, made.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        assert any(g is not None for g in reached[:-1]) == name.startswith("proposal_"), name
        shapes = reached[-1] is not None and float(reached[-1].abs().sum()) > 0
        assert shapes == (name == "proposal_box"), name


def test_the_first_step_proposes():
    found = model().eval().propose(images(), torch.tensor([[64, 128], [40, 70]]))
    one, other = found.to_list()
    assert len(one["boxes"]) > len(other["boxes"]) > 0
    assert (one["scores"].diff() <= 0).all()
    assert set(found.labels.tolist()) == {0}
    assert (other["boxes"] <= torch.tensor([70, 40, 70, 40])).all()


def test_the_published_form_has_the_published_anchors():
    made = RefineDet(num_classes=2, backbone="vgg16")
    assert [len(made.grid((side, side))) for side in (320, 512)] == [6375, 16320]
    assert made.backbone.channels == (512, 512, 1024, 512)
    maps = made.eval().features(torch.rand(1, 3, 64, 128))
    assert [list(x.shape[-2:]) for x in maps] == [[8, 16], [4, 8], [2, 4], [1, 2]]


def test_shapes_may_differ_in_number_from_level_to_level():
    shapes = [[(16.0, 16.0)] * n for n in (1, 2, 3, 1)]
    made = RefineDet(num_classes=2, shapes=shapes, width=8)
    made.losses(images(), PACKED.as_one_class())
    with pytest.raises(ValueError, match=r"RefineDet has 4 levels .* got shapes for 3"):
        RefineDet(num_classes=2, shapes=shapes[:3])
