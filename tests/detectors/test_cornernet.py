"""CornerNet by hand: maps that show two objects; tests/parity compares with MMDetection."""

import pytest
import torch

from detectors.scenes import batch, make
from kedge.detectors import CornerNet
from kedge.select import KeepAll, Selection
from kedge.types import Targets

IMAGES, TARGETS = batch()
HIGH = 20.0


def shown(objects, size=(8, 12), classes=3):
    """Maps of stride 8 that show objects (x1, y1, x2, y2, label, tag) exactly, for one image."""
    maps = {}
    for corner, first in (("top_left", 0), ("bottom_right", 2)):
        heat = torch.full((1, classes, *size), -HIGH)
        offset, tag = torch.zeros(1, 2, *size), torch.zeros(1, 1, *size)
        for number, (*box, label, value) in enumerate(objects):
            x, y = (side / 8 for side in box[first : first + 2])
            cell = 0, int(y), int(x)
            heat[0, label, int(y), int(x)] = HIGH - number
            offset[0, :, int(y), int(x)] = torch.tensor([x - int(x), y - int(y)])
            tag[cell[0], 0, int(y), int(x)] = value
        maps |= {f"{corner}_heat": heat, f"{corner}_offset": offset, f"{corner}_embedding": tag}
    return maps


def find(objects, **settings):
    every = Selection(score=0.0, candidates=None, suppress=KeepAll())
    model = CornerNet(num_classes=3, width=8, selection=every, **settings)
    found = model.find(shown(objects), torch.tensor([[64, 96]])).to_list()[0]
    good = found["scores"] > 0.5
    return {key: value[good] for key, value in found.items()}


def test_two_objects_of_a_class_are_told_apart_by_their_embeddings():
    objects = [(10, 12, 41, 30, 1, 0.0), (30, 4, 77, 50, 1, 2.0)]
    found = find(objects)
    boxes = sorted(found["boxes"].tolist())
    assert boxes == [pytest.approx(o[:4], abs=1e-4) for o in objects]
    assert found["labels"].tolist() == [1, 1]
    assert len(find(objects, apart=3.0)["boxes"]) == 4  # whatever makes a box
    assert len(find([(*objects[0][:5], 0.0), (*objects[1][:5], 0.4)])["boxes"]) == 4


def test_corners_of_other_classes_or_in_the_wrong_order_make_no_box():
    maps = shown([(10, 12, 41, 30, 1, 0.0)])
    maps["bottom_right_heat"] = maps["bottom_right_heat"].roll(1, 1)
    model, size = CornerNet(num_classes=3, width=8), torch.tensor([[64, 96]])
    assert float(model.find(maps, size).scores.amax()) < 0.6  # with a cell that shows nothing
    maps = shown([(10, 12, 41, 30, 1, 0.0)])
    flipped = {key: value.flip(3) for key, value in maps.items()}
    assert float(model.find(flipped, size).scores.amax()) < 0.6


def test_losses_of_maps_that_show_the_objects():
    """Exact maps cost next to nothing; the embeddings of two objects at one place push."""
    model = CornerNet(num_classes=3, width=8)
    boxes = torch.tensor([[10.0, 12, 41, 30], [30.0, 4, 77, 50]])
    targets = Targets.from_list([{"boxes": boxes, "labels": torch.tensor([1, 2])}])
    rows = [(*box, label) for box, label in zip(boxes.tolist(), (1, 2))]
    for tags, push in (((0.0, 2.0), 0.0), ((0.0, 0.25), 0.075)):
        losses = model.map_losses(shown([(*r, t) for r, t in zip(rows, tags)]), targets)
        assert float(losses["push"]) == pytest.approx(push, abs=1e-5)
        assert max(float(losses[name]) for name in ("heat", "offset", "pull")) < 1e-4


def test_every_parameter_learns_and_the_settings_of_backbones():
    model = make("cornernet")
    losses = model.train()(IMAGES, TARGETS)
    assert set(losses) == {"heat", "offset", "pull", "push"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.strides == (8.0,)
    assert CornerNet(num_classes=2, width=8, stride=4).strides == (4.0,)
    assert CornerNet(num_classes=2, width=8, backbone="resnet18").strides == (4.0,)
    with pytest.raises(ValueError, match="a map of stride 4, not 8"):
        CornerNet(num_classes=2, backbone="hourglass52", stride=8)
    with pytest.raises(ValueError, match="maps of stride 4, 8, 16 and 32"):
        CornerNet(num_classes=2, stride=7)


def test_all_stacks_learn_and_the_last_one_speaks(monkeypatch):
    from kedge.nn import HourglassNet

    small = HourglassNet(stacks=2, widths=(8, 8), blocks=(1, 1))
    monkeypatch.setattr("kedge.detectors.stacked.make_stacks", lambda *_, **__: small)
    model = CornerNet(num_classes=3)
    sum(model.train()(IMAGES, TARGETS).values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert len(model.eval()(IMAGES)) == 3
