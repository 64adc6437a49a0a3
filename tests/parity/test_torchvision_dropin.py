"""Kedge inside torchvision on real images: losses and gradients bit-equal."""

import pytest
from interop.tv_models import MODELS, assert_equal, model, step
from parity import real

from kedge.interop.torchvision import accelerate
from kedge.interop.torchvision.accelerate import SEAMS


@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("name", ["retinanet", "fcos", "ssd", "faster_rcnn"])
def test_real_images(name, data, shared_data, monkeypatch):
    assert name in MODELS
    for kind in SEAMS:
        monkeypatch.setattr(kind, "table", -1)
    pixels, targets = real.batch(shared_data, data, (128, 160))
    targets = [{"boxes": t["boxes"], "labels": t["labels"] % 3 + 1} for t in targets]
    given = model(name)
    given.transform.min_size, given.transform.max_size = (128,), 160
    wanted = step(given, list(pixels), targets)
    with accelerate(given):
        found = step(given, list(pixels), targets)
    assert_equal(found, wanted)
