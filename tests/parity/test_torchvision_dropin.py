"""Kedge inside torchvision on real images: losses and gradients bit-equal."""

import pytest
from interop.tv_models import assert_equal, model, step
from parity import real

from kedge.interop.torchvision import accelerate
from kedge.interop.torchvision.accelerate import SEAMS


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """No batch is small enough for torchvision's own method."""
    for kind in SEAMS:
        monkeypatch.setattr(kind, "table", -1)


def real_step(name, data, folder):
    pixels, targets = real.batch(folder, data, (128, 160))
    targets = [{"boxes": t["boxes"], "labels": t["labels"] % 3 + 1} for t in targets]
    given = model(name)
    given.transform.min_size, given.transform.max_size = (128,), 160
    return given, pixels, targets


@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("name", ["retinanet", "ssd", "faster_rcnn"])
def test_real_images(name, data, shared_data):
    given, pixels, targets = real_step(name, data, shared_data)
    wanted = step(given, list(pixels), targets)
    with accelerate(given):
        found = step(given, list(pixels), targets)
    assert_equal(found, wanted)


def matches(given, pixels, targets):
    """What FCOS hands to its head: the object of every point, image by image."""
    seen, lose = [], given.head.compute_loss
    given.head.compute_loss = lambda *parts: seen.append(parts[3]) or lose(*parts)
    step(given, list(pixels), targets)
    del given.head.compute_loss
    return seen[0]


@pytest.mark.parametrize("data", real.NAMES)
def test_fcos_but_for_areas_that_its_key_cannot_tell_apart(data, shared_data):
    given, pixels, targets = real_step("fcos", data, shared_data)
    wanted = matches(given, pixels, targets)
    with accelerate(given):
        found = matches(given, pixels, targets)
    different = 0
    for ours, theirs, target in zip(found, wanted, targets):
        at = (ours != theirs).nonzero()[:, 0]
        different += len(at)
        if len(at):
            assert (ours[at] >= 0).all()
            assert (theirs[at] >= 0).all()
            area = (target["boxes"][:, 2:] - target["boxes"][:, :2]).prod(1)
            assert (area[theirs[at]] >= area[ours[at]]).all()  # ours is the smaller
            assert (area[theirs[at]] - area[ours[at]] <= 16).all()
    print(f"{data}: {different} of {sum(map(len, found))} points differ")
