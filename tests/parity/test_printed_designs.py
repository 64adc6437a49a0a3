"""What `kedge design` prints, loaded by the framework it is for: its anchors are the design's.

Ultralytics' package reads the YAML, but its detectors have no anchors; what YOLOv5 does with the
list is said here in its own arithmetic.
"""

from functools import cache

import pytest
import torch
from parity.cases import mm, needs, peers
from torch import Tensor
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.image_list import ImageList

from kedge import Grid, Level
from kedge.design import BoxTable, DesignReport, DesignSettings, design_command
from kedge.interop.design_snippet import design_snippet

INPUT = (256, 384)
SETTINGS = {"compare": False, "curve": False, "restarts": 2, "image_size": INPUT}
PYRAMID = {"layout": "pyramid", "scales": 2, "ratios": 3, "strides": (8.0, 16.0, 32.0)}


@cache
def report(framework: str, offset: float = 0.5, pyramid: bool = False) -> DesignReport:
    """A design for 400 boxes of every size in images of 200 x 320 (H, W)."""
    rng = torch.Generator().manual_seed(3)
    side = 6 * 20 ** torch.rand(400, 2, generator=rng)
    corner = torch.rand(400, 2, generator=rng) * (torch.tensor([320.0, 200.0]) - side)
    table = BoxTable(
        xyxy=torch.cat([corner, corner + side], 1).numpy(),
        size=torch.tensor([[200.0, 320.0]]).repeat(400, 1).numpy(),
        image=(torch.arange(400) // 4).numpy(),
        label=torch.zeros(400, dtype=torch.int64).numpy(),
    )
    words = {**SETTINGS, **(PYRAMID if pyramid else {}), "offset": offset}
    return design_command(table, DesignSettings(framework=framework, **words))


def run(text: str) -> dict:
    space: dict = {}
    exec(compile(text, "snippet", "exec"), space)
    return space


def anchors_of(design: DesignReport) -> list[Tensor]:
    """Each level's anchors over ``INPUT``, (cells x shapes, 4)."""
    offset = design.settings.offset
    return [
        Grid(INPUT, [Level(stride=s, shapes=m, offset=offset)]).boxes() for s, m in design.levels
    ]


def by_area(shapes: Tensor) -> Tensor:
    return shapes[shapes.prod(1).argsort()]


def in_order(boxes: Tensor, shapes: Tensor) -> Tensor:
    """Anchors of a level, the shapes of every cell in the order of ``shapes`` (k, 2)."""
    cells = boxes.reshape(-1, len(shapes), 4)
    order = torch.cdist(shapes, cells[0, :, 2:] - cells[0, :, :2]).argmin(1)
    assert len(order.unique()) == len(shapes)
    return cells[:, order].reshape(-1, 4)


def assert_same(theirs: list[Tensor], design: DesignReport, tolerance: float) -> None:
    ours = anchors_of(design)
    assert len(theirs) == len(ours)
    for there, here, (_, shapes) in zip(theirs, ours, design.levels, strict=True):
        found = in_order(there, torch.tensor(shapes))
        torch.testing.assert_close(found, here, rtol=0, atol=tolerance)


def maps(design: DesignReport) -> list[tuple[int, int]]:
    return [(INPUT[0] // int(s), INPUT[1] // int(s)) for s, _ in design.levels]


@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize(("pyramid", "tolerance"), [(False, 0.01), (True, 0.51)])
def test_torchvision(offset, pyramid, tolerance):
    """Of a pyramid torchvision rounds half a side to a whole pixel."""
    design = report("torchvision", offset, pyramid)
    generator = run(design_snippet(design))["anchor_generator"]
    images = ImageList(torch.zeros(1, 3, *INPUT), [INPUT])
    features = [torch.zeros(1, 1, *size) for size in maps(design)]
    counts = [len(shapes) * h * w for (_, shapes), (h, w) in zip(design.levels, maps(design))]
    assert_same(list(generator(images, features)[0].split(counts)), design, tolerance)


def test_torchvision_trains_with_it():
    design = report("torchvision", 0.5, True)
    generator = run(design_snippet(design))["anchor_generator"]

    class Backbone(torch.nn.Module):
        out_channels = 4

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            pool = torch.nn.functional.avg_pool2d
            return {f"{s:g}": pool(x, int(s)) for s, _ in design.levels}

    model = RetinaNet(Backbone(), 2, anchor_generator=generator, min_size=256, max_size=384)
    target = {"boxes": torch.tensor([[20.0, 30, 90, 120]]), "labels": torch.tensor([1])}
    losses = model([torch.rand(3, *INPUT)], [target])
    assert all(loss.isfinite() for loss in losses.values())


@needs("MMDetection")
def test_mmdetection_free_shapes():
    """YOLOAnchorGenerator: coarsest level first, centred on the cell, equally many on a level."""
    design = report("mmdetection")
    generator = built(design)
    assert generator.num_base_priors == [3, 3, 3]
    theirs = generator.grid_priors(maps(design)[::-1], device="cpu")
    assert_same(list(theirs)[::-1], design, 0.01)


@needs("MMDetection")
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_mmdetection_pyramid(offset):
    design = report("mmdetection", offset, True)
    generator = built(design)
    assert generator.num_base_priors == [6, 6, 6]
    assert_same(list(generator.grid_priors(maps(design), device="cpu")), design, 0.02)


def built(design: DesignReport):
    """The generator that MMDetection's registry makes of the snippet."""
    mm.mmdetection()
    from mmdet.registry import TASK_UTILS

    return TASK_UTILS.build(run(design_snippet(design))["anchor_generator"])


@needs("MMDetection")
@pytest.mark.parametrize(("head", "pyramid"), [("YOLOV3Head", False), ("RetinaHead", True)])
def test_mmdetection_heads_take_it(head, pyramid):
    heads = mm.mmdetection().heads
    found = run(design_snippet(report("mmdetection", 0.5, pyramid)))["anchor_generator"]
    if head == "RetinaHead":
        made = heads.RetinaHead(2, 4, feat_channels=4, anchor_generator=found)
        outputs = made([torch.rand(1, 4, h, w) for h, w in maps(report("mmdetection"))])
        assert [row.shape[1] for row in outputs[0]] == [6 * 2] * 3
        return
    wide = {"in_channels": (4, 4, 4), "out_channels": (4, 4, 4)}
    made = heads.YOLOV3Head(2, **wide, anchor_generator=found, featmap_strides=found["strides"])
    (outputs,) = made([torch.rand(1, 4, h, w) for h, w in maps(report("mmdetection"))[::-1]])
    assert [row.shape[1] for row in outputs] == [3 * (5 + 2)] * 3


@needs("Detectron2")
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("pyramid", [False, True])
def test_detectron2(offset, pyramid, monkeypatch):
    peers.detectron2()
    import yaml
    from detectron2.modeling.anchor_generator import (
        ANCHOR_GENERATOR_REGISTRY,
        DefaultAnchorGenerator,
    )

    # what the snippet registers is gone afterwards: a name may be registered once
    monkeypatch.setattr(ANCHOR_GENERATOR_REGISTRY, "_obj_map", {})
    design = report("detectron2", offset, pyramid)
    text, strides = design_snippet(design), [int(s) for s, _ in design.levels]
    if pyramid:
        said = yaml.safe_load(text)["MODEL"]["ANCHOR_GENERATOR"]
        kind, sizes, ratios = DefaultAnchorGenerator, said["SIZES"], said["ASPECT_RATIOS"]
    else:
        kind, sizes, ratios = run(text)["DesignedAnchors"], [[1.0]], [[1.0]]
    generator = kind(sizes=sizes, aspect_ratios=ratios, strides=strides, offset=offset)
    theirs = generator([torch.zeros(1, 1, *size) for size in maps(design)])
    assert_same([boxes.tensor for boxes in theirs], design, 0.02)


@needs("Ultralytics")
def test_ultralytics_reads_the_yaml_of_yolov5(tmp_path):
    from ultralytics.utils import YAML

    design = report("yolov5")
    file = tmp_path / "model.yaml"
    file.write_text(design_snippet(design))
    anchors = torch.tensor(YAML.load(file)["anchors"]).view(3, -1, 2)  # as YOLOv5's Detect has it
    for row, (_, shapes) in zip(anchors, design.levels, strict=True):
        torch.testing.assert_close(by_area(row), by_area(torch.tensor(shapes)), rtol=0, atol=0.06)
    areas = anchors.prod(-1).mean(-1)
    assert (areas.diff() > 0).all()  # or its check_anchor_order turns them round


def test_kedge():
    design = report("kedge")
    grid = run(design_snippet(design))["grid"]
    assert grid.image_size == INPUT
    counts = [len(shapes) * h * w for (_, shapes), (h, w) in zip(design.levels, maps(design))]
    assert_same(list(grid.boxes().split(counts)), design, 0.01)
