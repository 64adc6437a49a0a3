"""RetinaNet-style anchors: the snippets give the shapes that were designed."""

from math import sqrt

import pytest
import torch
import yaml
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from kedge.anchors.presets import preset
from kedge.interop.pyramid_snippets import pyramid_snippet

STRIDES, SIZES = (16, 8), (61.5, 30.25)  # any order
SCALES, RATIOS = (1, 1.26), (0.5, 1, 2)
EXACT = torch.tensor(
    [
        [size * scale / sqrt(r), size * scale * sqrt(r)]
        for size in (30.25, 61.5)
        for r in RATIOS
        for scale in SCALES
    ]
)


def write(framework: str, offset: float = 0.5) -> str:
    return pyramid_snippet(framework, STRIDES, SIZES, SCALES, RATIOS, (96, 160), offset)


def run(text: str) -> dict:
    space: dict = {}
    exec(compile(text, "snippet", "exec"), space)
    return space


def test_kedge_snippet_builds_the_grid():
    grid = run(write("kedge"))["grid"]
    assert grid.image_size == (96, 160)
    assert [level.stride for level in grid.levels] == [8, 16]
    torch.testing.assert_close(grid.shapes, EXACT, atol=0.02, rtol=0)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_torchvision_snippet_gives_these_anchors_up_to_its_rounding(offset):
    generator = run(write("torchvision", offset))["anchor_generator"]
    assert isinstance(generator, AnchorGenerator)
    assert generator.num_anchors_per_location() == [6, 6]
    images = ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)])
    found = generator(images, [torch.zeros(1, 4, 96 // s, 160 // s) for s in (8, 16)])[0]
    grid = run(write("kedge", offset))["grid"]
    assert found.shape == grid.boxes().shape
    centre = (found[:, :2] + found[:, 2:]) / 2
    torch.testing.assert_close(centre, (grid.boxes()[:, :2] + grid.boxes()[:, 2:]) / 2)
    assert (found - grid.boxes()).abs().max() <= 0.5 + 0.01  # half a side, to a whole pixel


def test_torchvision_snippet_tells_what_rounding_costs():
    text = pyramid_snippet("torchvision", [8], [5], [1], [1])  # half a side is 2.5: becomes 2
    assert "a side changes by 20.0% at most" in text
    cell = run(text)["anchor_generator"].cell_anchors[0]
    assert (cell[:, 2:] - cell[:, :2]).tolist() == [[4, 4]]
    exact = pyramid_snippet("torchvision", [8, 16], [16, 32], [1, 2], [1])
    assert "changes by 0.0% at most" in exact


def test_detectron2_snippet_is_a_configuration_of_sizes_and_ratios():
    node = yaml.safe_load(write("detectron2"))["MODEL"]["ANCHOR_GENERATOR"]
    assert node["NAME"] == "DefaultAnchorGenerator"
    assert node["OFFSET"] == 0.5
    (ratios,) = node["ASPECT_RATIOS"]
    # its own arithmetic: area = size ** 2, w = sqrt(area / ratio), h = ratio * w; size outer
    shapes = [
        (sqrt(size**2 / r), r * sqrt(size**2 / r))
        for sizes in node["SIZES"]
        for r in ratios
        for size in sizes
    ]
    torch.testing.assert_close(torch.tensor(shapes), EXACT, atol=0.02, rtol=0)
    assert len(node["SIZES"]) == 2


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_mmdetection_snippet_in_its_own_arithmetic(offset):
    found = run(write("mmdetection", offset))["anchor_generator"]
    assert found.pop("type") == "AnchorGenerator"
    assert found["strides"] == [8, 16]
    shapes = [
        (base / sqrt(r) * scale, base * sqrt(r) * scale)
        for base in found["base_sizes"]
        for r in found["ratios"]
        for scale in found["scales"]
    ]
    torch.testing.assert_close(torch.tensor(shapes), EXACT, atol=0.02, rtol=0)
    if offset:
        assert found["centers"] == [(4, 4), (8, 8)]  # its center_offset counts in base sizes
    else:
        assert "centers" not in found


def test_retinanets_own_numbers_give_its_published_anchors():
    published = preset("retinanet")
    octaves = [2 ** (i / 3) for i in range(3)]
    text = pyramid_snippet(
        "kedge", published.strides, [4 * s for s in published.strides], octaves, (0.5, 1, 2)
    )
    torch.testing.assert_close(
        run(text)["grid"].shapes, torch.tensor(published.shapes), atol=0.02, rtol=0
    )


def test_frameworks_without_such_parameters_get_the_shapes():
    rows = yaml.safe_load(write("yolov5"))["anchors"]
    assert [len(row) for row in rows] == [12, 12]
    assert rows[0][:2] == pytest.approx([30.25 / sqrt(0.5), 30.25 * sqrt(0.5)], abs=0.06)
    assert "num=12" in write("darknet")


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="framework"):
        pyramid_snippet("caffe", [8], [32], [1], [1])
    with pytest.raises(ValueError, match="size for each of 2 strides, got 1"):
        pyramid_snippet("kedge", [8, 16], [32], [1], [1])
    with pytest.raises(ValueError, match="one scale and ratio"):
        pyramid_snippet("kedge", [8], [32], [], [1])
