"""Snippets are run where the framework is here, and taken apart where it is not."""

import re

import pytest
import torch
import yaml
from torchvision.models.detection.image_list import ImageList

from kedge.anchors.presets import preset
from kedge.interop.snippets import frameworks, snippet

LEVELS = [
    (16, [(30.25, 61), (62, 45.5), (59, 119)]),
    (8, [(10.13, 13), (16, 30), (33, 23)]),
]


def run(text: str) -> dict:
    space: dict = {}
    exec(compile(text, "snippet", "exec"), space)
    return space


def test_kedge_snippet_builds_the_grid():
    grid = run(snippet("kedge", LEVELS, (96, 160)))["grid"]
    assert grid.image_size == (96, 160)
    assert [level.stride for level in grid.levels] == [8, 16]  # in order of stride
    torch.testing.assert_close(
        grid.shapes, torch.tensor([*LEVELS[1][1], *LEVELS[0][1]], dtype=torch.float32)
    )


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_torchvision_snippet_gives_the_anchors_of_the_kedge_snippet(offset):
    grid = run(snippet("kedge", LEVELS, (96, 160), offset))["grid"]
    generator = run(snippet("torchvision", LEVELS, (96, 160), offset))["anchor_generator"]
    assert generator.num_anchors_per_location() == [3, 3]
    images = ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)])
    maps = [torch.zeros(1, 4, 96 // s, 160 // s) for s in (8, 16)]
    torch.testing.assert_close(generator(images, maps)[0], grid.boxes())


def test_torchvision_snippet_runs_in_a_detector():
    from torchvision.models.detection import FasterRCNN

    levels = [(8, [(10, 13)]), (16, [(30, 61)]), (32, [(116, 90)])]
    generator = run(snippet("torchvision", levels))["anchor_generator"]

    class Backbone(torch.nn.Module):
        out_channels = 4

        def forward(self, x):
            pool = torch.nn.functional.avg_pool2d
            maps = [pool(x, s).mean(1, keepdim=True).repeat(1, 4, 1, 1) for s in (8, 16, 32)]
            return {str(i): m for i, m in enumerate(maps)}

    model = FasterRCNN(
        Backbone(), 2, rpn_anchor_generator=generator, min_size=64, max_size=128
    ).eval()
    assert len(model([torch.rand(3, 64, 96)])) == 1


def test_yolov5_snippet_is_its_yaml():
    found = yaml.safe_load(snippet("yolov5", preset("yolov5").levels))
    assert found["anchors"] == [
        [10, 13, 16, 30, 33, 23],
        [30, 61, 62, 45, 59, 119],
        [116, 90, 156, 198, 373, 326],
    ]
    assert "# P3/8" in snippet("yolov5", LEVELS)


def test_mmdetection_snippet_is_its_published_yolov3_configuration():
    space = run(snippet("mmdetection", preset("yolov3").levels))
    assert space["anchor_generator"] == {
        "type": "YOLOAnchorGenerator",
        "base_sizes": [
            [(116, 90), (156, 198), (373, 326)],
            [(30, 61), (62, 45), (59, 119)],
            [(10, 13), (16, 30), (33, 23)],
        ],
        "strides": [32, 16, 8],
    }
    assert "offset 0" in snippet("mmdetection", LEVELS, offset=0.0)


def test_detectron2_snippet_defines_the_cell_anchors():
    """Run against a stand-in with the two members of Detectron2 that it uses."""
    text = snippet("detectron2", LEVELS)
    body = text[text.index("SHAPES") :]

    class Registry:
        def register(self):
            return lambda cls: cls

    space = {
        "torch": torch,
        "ANCHOR_GENERATOR_REGISTRY": Registry(),
        "BufferList": list,
        "DefaultAnchorGenerator": object,
    }
    exec(body, space)
    anchors = space["DesignedAnchors"]()._calculate_anchors(None, None)
    assert [a.shape for a in anchors] == [(3, 4), (3, 4)]
    assert anchors[0][1].tolist() == [-8, -15, 8, 15]
    assert "OFFSET = 0.5" in text


def test_darknet_snippet_in_pixels_with_masks():
    text = snippet("darknet", preset("yolov3").levels)
    assert "anchors = 10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326" in text
    assert "num=9" in text
    assert re.findall(r"^mask = (.*)$", text, re.MULTILINE) == ["0,1,2", "3,4,5", "6,7,8"]


def test_darknet_snippet_of_one_level_is_in_cells():
    text = snippet("darknet", preset("yolov2_coco").levels)
    line = re.search(r"^anchors = (.*)$", text, re.MULTILINE)
    assert line is not None
    numbers = [float(x) for x in re.split(r",\s*", line.group(1))]
    assert numbers[:4] == pytest.approx([0.57273, 0.677385, 1.87446, 2.06253], abs=1e-5)


@pytest.mark.parametrize("framework", ["torchvision", "detectron2", "yolov5", "mmdetection"])
def test_unequal_levels_are_refused_where_heads_are_shared(framework):
    with pytest.raises(ValueError, match="per_level"):
        snippet(framework, [(8, [(1, 2)]), (16, [(3, 4), (5, 6)])])


def test_unequal_levels_are_fine_elsewhere():
    for framework in ("kedge", "darknet"):
        assert snippet(framework, [(8, [(1, 2)]), (16, [(3, 4), (5, 6)])])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=", ".join(frameworks())):
        snippet("caffe", LEVELS)
    with pytest.raises(ValueError, match="at least one"):
        snippet("kedge", [])
    with pytest.raises(ValueError, match="stride 8"):
        snippet("kedge", [(8, [])])
