"""ExtremeNet by hand: maps that show objects, and what their losses are."""

import pytest
import torch

from detectors.scenes import batch, make
from kedge.detectors import ExtremeNet
from kedge.detectors.extremenet import EXTREMES, extreme_points
from kedge.select import KeepAll, Selection
from kedge.types import Targets

IMAGES, TARGETS = batch()
HIGH = 20.0


def shown(boxes, labels, size=(8, 12), classes=3):
    """Maps of stride 8 that show boxes exactly, for one image."""
    maps = {
        f"{name}_heat": torch.full((1, classes, *size), -HIGH) for name in (*EXTREMES, "centre")
    }
    maps |= {f"{name}_offset": torch.zeros(1, 2, *size) for name in EXTREMES}
    for name, points in extreme_points(torch.tensor(boxes)).items():
        for (x, y), label in zip((points / 8).tolist(), labels):
            maps[f"{name}_heat"][0, label, int(y), int(x)] = HIGH
            if name != "centre":
                rest = torch.tensor([x - int(x), y - int(y)])
                maps[f"{name}_offset"][0, :, int(y), int(x)] = rest
    return maps


def find(maps, **settings):
    every = Selection(score=0.0, candidates=None, suppress=KeepAll())
    model = ExtremeNet(num_classes=3, width=8, selection=every, **settings)
    return model.find(maps, torch.tensor([[64, 96]])).to_list()[0]


def test_extreme_points_are_the_middles_of_the_sides():
    found = extreme_points(torch.tensor([[10.0, 20, 30, 60]]))
    assert {name: place.tolist() for name, place in found.items()} == {
        "top": [[20, 20]], "left": [[10, 40]], "bottom": [[20, 60]], "right": [[30, 40]],
        "centre": [[20, 40]],
    }  # fmt: skip


def test_objects_that_the_maps_show():
    boxes, labels = [[9.0, 9, 41, 31], [50.0, 9, 90, 59]], [1, 2]
    found = find(shown(boxes, labels))
    assert sorted(found["boxes"].tolist()) == [pytest.approx(box, abs=1e-4) for box in boxes]
    assert sorted(found["labels"].tolist()) == labels
    assert found["scores"].tolist() == pytest.approx([1, 1], abs=1e-4)


def test_without_a_centre_or_with_one_of_another_class_nothing_is_found():
    maps = shown([[9.0, 9, 41, 31]], [1])
    centre = maps["centre_heat"]
    for other in (torch.full_like(centre, -HIGH), centre.roll(1, 1), centre.roll(2, 3)):
        assert len(find(maps | {"centre_heat": other})["boxes"]) == 0
    weak = find(maps | {"centre_heat": centre / HIGH * 0 - 1}, min_centre=0.2)  # a sigmoid of .27
    assert weak["scores"].tolist() == pytest.approx([(4 + 2 * 0.2689) / 6], abs=1e-3)


def test_losses():
    model = ExtremeNet(num_classes=3, width=8)
    boxes, labels = [[9.0, 9, 41, 31], [50.0, 9, 90, 59]], [1, 2]
    rows = {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels)}
    exact = model.map_losses(shown(boxes, labels), Targets.from_list([rows]))
    assert max(float(loss) for loss in exact.values()) < 1e-4
    maps = {name: torch.zeros_like(values) for name, values in shown(boxes, labels).items()}
    blind = model.map_losses(maps, Targets.from_list([rows]))
    wanted = [p / 8 - (p / 8).floor() for n, p in extreme_points(rows["boxes"]).items()]
    off = sum(float((part.square() / 2).sum() / 2) for part in wanted[:4])
    assert float(blind["offset"]) == pytest.approx(off, rel=1e-4)
    assert float(blind["heat"]) > 1
    model = make("extremenet").train()
    losses = model(IMAGES, TARGETS)
    assert set(losses) == {"heat", "offset"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
