"""Every detector leaves the workshop with the same detections, or says why it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectors.scenes import PROPOSED, SMALL, make
from torch import nn

from kedge.export.forms import FORMS, DetectionsGraph
from kedge.export.static import static

EVERY = [*SMALL, *PROPOSED]
SIZE = (64, 96)  # not square, no multiple of the coarsest strides
REFUSED = {"faster_rcnn", "faster_rcnn_c4", "cascade_rcnn", "rfcn", "fast_rcnn", "rcnn"}
IMAGES = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(5))


def sharp(name: str):
    """A detector whose scores differ, so that no order hangs on the last bit."""
    model = make(name).eval()
    torch.manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.3)
    if name == "yolov1":  # or many say 1, where it cuts them off
        model.output.conv.weight.data /= 20
        nn.init.constant_(model.output.conv.bias, 0.5)
    if name == "paa":
        model.selection = replace(model.selection, vote=None)
    return model


def agree(found, model) -> None:
    """``Padded`` detections are the detector's own."""
    boxes, scores, labels, count = (torch.as_tensor(column) for column in found)
    rows = model(IMAGES)
    assert sum(len(row["boxes"]) for row in rows) > 9
    for image, row in enumerate(rows):
        assert int(count[image]) == len(row["boxes"])
        real = slice(0, int(count[image]))
        assert torch.equal(labels[image, real], row["labels"])
        torch.testing.assert_close(boxes[image, real], row["boxes"], atol=1e-3, rtol=0)
        torch.testing.assert_close(scores[image, real], row["scores"], atol=1e-5, rtol=0)
        assert not boxes[image, real.stop :].any()
        assert not scores[image, real.stop :].any()


@pytest.mark.parametrize("detector", [name for name in EVERY if name not in REFUSED])
@torch.no_grad()
def test_the_form_of_fixed_sizes_finds_what_the_detector_finds(detector):
    model = sharp(detector)
    agree(DetectionsGraph(static(model, SIZE)).eval()(IMAGES), model)
