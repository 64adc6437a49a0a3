"""Dual: two heads, the weights of their losses, and what is found without suppression."""

import pytest
import torch

from kedge import Targets
from kedge.assign import TAL, OneToFew
from kedge.detectors import Dual, Stage
from kedge.select import KeepAll


@pytest.fixture
def model() -> Dual:
    torch.manual_seed(0)
    return Dual(num_classes=2, width=16, depth=1).train()


@pytest.fixture
def batch() -> tuple[torch.Tensor, Targets]:
    rng = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 10, 60, 60], [80, 20, 150, 90], [5, 70, 9, 74]])
    targets = Targets.from_list([{"boxes": boxes, "labels": [0, 1, 0]}, {"boxes": []}])
    return torch.rand(2, 3, 96, 160, generator=rng), targets


def test_one_anchor_an_object_for_the_head_that_detects_and_many_for_the_other(model, batch):
    images, targets = batch
    with torch.no_grad():
        one, taught = {}, {}
        maps = model.pyramid(model.backbone(images))
        for name, rule, count in (("one", model.assign, one), ("many", model.many, taught)):
            said = model.read(model._said(name, maps), (96, 160))
            found = Stage(assign=rule, loss=model.loss)(said, targets).assignment
            count |= {t: found.target.tolist().count(t) for t in found.target.tolist()}
    assert set(one.values()) == {1}
    assert len(taught) == 3
    assert max(taught.values()) == 10
    got = model.losses(images, targets).assignment
    assert sorted(got.target.tolist()) == sorted(one)


@pytest.mark.parametrize(("progress", "w"), [(0.0, 0.8), (0.5, 0.45), (1.0, 0.1)])
def test_the_weights_of_both_heads(model, batch, progress, w):
    images, targets = batch
    model.progress = progress
    got = model.losses(images, targets).losses
    assert set(got) == {"classification", "box", "many_classification", "many_box"}
    for head, rule, before, weight in (
        ("one", TAL.one_to_one(), "", 1 - w),
        ("many", TAL.ultralytics(), "many_", w),
    ):
        maps = model.pyramid(model.backbone(images))
        said = model.read(model._said(head, maps), (96, 160))
        want = Stage(assign=rule, loss=model.loss)(said, targets).losses
        for name, value in want.items():
            torch.testing.assert_close(got[before + name], weight * value)


def test_only_the_head_of_many_teaches_the_backbone(model, batch):
    images, targets = batch
    losses = model.losses(images, targets).losses
    (losses["classification"] + losses["box"]).backward()
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learned == {"layers"}
    assert all(p.grad is None for p in model.layers.get_submodule("many").parameters())
    losses = model.losses(images, targets).losses
    (losses["many_classification"] + losses["many_box"]).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_both_strategies_can_be_swapped(model, batch):
    images, targets = batch
    model.assign, model.many = OneToFew(), TAL(k=4)
    found = model.losses(images, targets).assignment
    assert {round(weight, 4) for weight in found.weight.tolist()} == {1.0, 0.4}
    assert Dual.many == TAL.ultralytics()


def test_it_detects_with_one_head_and_suppresses_nothing(model, batch):
    images, _ = batch
    model.eval()
    assert model.selection.suppress == KeepAll()
    before = model.detect(images)
    with torch.no_grad():
        for parameter in model.layers.get_submodule("many").parameters():
            parameter.fill_(7.0)
    after = model.detect(images)
    assert torch.equal(before.boxes, after.boxes)
    assert torch.equal(before.scores, after.scores)


@pytest.mark.slow
def test_trained_without_suppression_it_finds_an_object_once():
    """A few hundred steps on three images: every object is found, none twice."""
    torch.manual_seed(0)
    model = Dual(num_classes=1, width=32, depth=1)
    rng = torch.Generator().manual_seed(1)
    boxes = [[[20.0, 16, 60, 56]], [[70.0, 30, 130, 80]], [[10.0, 40, 50, 90], [90, 8, 140, 44]]]
    images = 0.2 * torch.rand(3, 3, 96, 160, generator=rng)
    for image, found in zip(images, boxes):
        for x1, y1, x2, y2 in found:
            image[:, int(y1) : int(y2), int(x1) : int(x2)] += 0.7
    targets = Targets.from_list([{"boxes": torch.tensor(b)} for b in boxes])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    steps = 250
    for step in range(steps):
        model.progress = step / steps
        losses = model.train().losses(images, targets).losses
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    found = model.eval().detect(images)
    sure = found.scores > 0.4
    for image, wanted in enumerate(boxes):
        assert int((sure & (found.image == image)).sum()) == len(wanted)
