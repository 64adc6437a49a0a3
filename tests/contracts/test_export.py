"""Every detector leaves the workshop with the same detections, or says why it cannot.

The form of fixed sizes is compared as torch runs it; what becomes of it in ONNX Runtime is slow
(``make test-slow``), but for the one detector of ``tests/export``."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectors.scenes import KEYPOINTS, PROPOSED, SMALL, SPARSE, make
from torch import nn

from kedge.detectors import TwoStage
from kedge.export.facts import facts_of
from kedge.export.fixed_selection import Padded
from kedge.export.forms import DecodedGraph, DetectionsGraph
from kedge.export.opened import Exported, open_exported
from kedge.export.static_of import static
from kedge.export.to_onnx import OnnxSession
from kedge.export.write import export
from kedge.nn import RegionOutputs
from kedge.select import NMS

EVERY = [*SMALL, *PROPOSED, *KEYPOINTS, *SPARSE]
SIZE = (64, 96)  # not square, no multiple of the coarsest strides
DOCS = Path(__file__).resolve().parents[2] / "docs" / "edge.md"
TOLD = dict(re.findall(r"^\| `(\w+)` \| (yes|maps|no) \|", DOCS.read_text(), flags=re.MULTILINE))
REFUSED = [name for name in EVERY if TOLD.get(name) == "no"]
CLASS_BOXES = ("faster_rcnn", "faster_rcnn_c4")  # of every class its own: not one table of boxes
IMAGES = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(5))

MAPS_ALONE = [name for name in EVERY if TOLD.get(name) == "maps"]
FINDING = [name for name in EVERY if name not in (*REFUSED, *MAPS_ALONE)]

exported = pytest.mark.parametrize("detector", FINDING)
with_maps = pytest.mark.parametrize("detector", FINDING + MAPS_ALONE)


def sharp(name: str):
    """A detector whose scores differ, so that no order hangs on the last bit."""
    model = make(name).eval()
    torch.manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, RegionOutputs):  # or the second stage says of all the same
            nn.init.kaiming_normal_(layer.classes.weight)
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.3)
    if name == "yolov1":  # or many say 1, where it cuts them off
        model.output.conv.weight.data /= 20
        nn.init.constant_(model.output.conv.bias, 0.5)
    if name.startswith("ga_"):  # or taps and anchors lie far outside of the image
        layers = model.layers if name == "ga_retinanet" else model.proposals.layers
        scores = [layers.objectness] if hasattr(layers, "objectness") else []
        for conv in (layers.shape, layers.codes, *scores):
            conv.weight.data /= 20
    elif isinstance(model, TwoStage):  # or many proposals say 1, and boxes grow without bound
        model.proposals.layers.objectness.weight.data /= 20
        model.proposals.layers.codes.weight.data /= 20
    if name == "metaanchor":  # or its shapes all say the same
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.05)
    if name == "cornernet":  # soft suppression has no form; scores of 1, or any two far apart
        model.selection = replace(model.selection, suppress=NMS())
        model.candidates, model.apart = 20, 30.0
        for maps in model.maps.values():
            maps[0].layers["heat"][-1].weight.data /= 20
    if name == "paa":
        model.selection = replace(model.selection, vote=None)
    model.input_size = SIZE
    return model


def agree(found: Padded, model) -> None:
    """Detections of ``IMAGES`` are the detector's own."""
    rows = model(IMAGES)
    assert sum(len(row["boxes"]) for row in rows) > 9
    for image, row in enumerate(rows):
        assert int(found.count[image]) == len(row["boxes"])
        real = slice(0, int(found.count[image]))
        assert torch.equal(found.labels[image, real], row["labels"])
        torch.testing.assert_close(found.boxes[image, real], row["boxes"], atol=1e-3, rtol=0)
        torch.testing.assert_close(found.scores[image, real], row["scores"], atol=1e-5, rtol=0)
        assert not found.boxes[image, real.stop :].any()
        assert not found.scores[image, real.stop :].any()


@exported
@torch.no_grad()
def test_the_form_of_fixed_sizes_finds_what_the_detector_finds(detector):
    model = sharp(detector)
    agree(Padded(*DetectionsGraph(static(model, SIZE)).eval()(IMAGES)), model)


class AsFile:
    """A graph in place of a file with it."""

    def __init__(self, model, graph):
        self.graph = graph
        self.facts = facts_of(model, "x", "decoded", graph.static, graph.outputs)

    def __call__(self, images):
        return self.graph(images)


@pytest.mark.parametrize(
    "detector",
    [
        "yolov2",
        "ssd",
        "gfl",
        "refinedet",
        "cascade_rcnn",
        "ga_retinanet",
        "cornernet",
        *CLASS_BOXES,
    ],
)
@torch.no_grad()
def test_all_boxes_and_scores_hold_what_it_finds(detector):
    model = sharp(detector)
    if detector in CLASS_BOXES:
        with pytest.raises(ValueError, match="every class has a box of its own"):
            DecodedGraph(static(model, SIZE))(IMAGES)
        return
    file = AsFile(model, DecodedGraph(static(model, SIZE)).eval())
    agree(Exported(file, Path("a.onnx")).padded(IMAGES), model)


@pytest.mark.parametrize("detector", MAPS_ALONE)
def test_what_forms_boxes_in_a_number_of_its_own_exports_its_maps_alone(detector, tmp_path):
    model = make(detector)
    for form in ("nms", "decoded"):
        with pytest.raises(ValueError, match=rf"^{type(model).__name__} exports as --form maps"):
            export(model, tmp_path / "a.onnx", form=form, image_size=SIZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("detector", REFUSED)
def test_what_no_graph_can_hold_is_refused_by_name(detector, tmp_path):
    model = make(detector)
    with pytest.raises(ValueError, match=rf"^{type(model).__name__} cannot be exported: .+"):
        export(model, tmp_path / "a.onnx", image_size=SIZE)
    assert not list(tmp_path.iterdir())


def test_the_table_tells_of_every_detector():
    assert TOLD.keys() == set(EVERY)


@pytest.mark.slow
@exported
def test_onnx_runtime_finds_what_the_detector_finds(detector, tmp_path):
    model = sharp(detector)
    export(model, tmp_path / "a.onnx")
    found = open_exported(tmp_path / "a.onnx")
    agree(found.padded(IMAGES), model)
    assert len(found(IMAGES[:1])) == 1
    assert torch.equal(found(IMAGES)[2]["labels"], found(IMAGES[2:])[0]["labels"])


@pytest.mark.slow
@with_maps
@torch.no_grad()
def test_raw_maps_say_what_the_detector_says(detector, tmp_path):
    model = sharp(detector)
    facts = export(model, tmp_path / "a.onnx", form="maps")
    session = OnnxSession(tmp_path / "a.onnx")
    wanted = static(model, SIZE).maps(IMAGES)
    assert tuple(wanted) == facts.outputs
    for images in (IMAGES, IMAGES[:1]):  # batches of any size
        for name, found in zip(facts.outputs, session(images), strict=True):
            torch.testing.assert_close(found, wanted[name][: len(images)], atol=1e-3, rtol=1e-4)
    with pytest.raises(ValueError, match="holds raw maps"):
        open_exported(tmp_path / "a.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["yolov1", "gfl_tiny", "refinedet", "tood"])
@pytest.mark.parametrize("to", ["openvino", "torch-export"])
def test_other_formats_find_the_same(detector, to, tmp_path):
    model = sharp(detector)
    path = tmp_path / ("a.xml" if to == "openvino" else "a.pt2")
    export(model, path, to=to)
    agree(open_exported(path).padded(IMAGES), model)
