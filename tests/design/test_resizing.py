"""Resizing rules: by hand, what each framework does by itself, and that designs are made for it."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from kedge.data.transforms import Fit
from kedge.design import FRAMEWORKS, BoxTable, DesignSettings, as_seen, design_command
from kedge.design.resizing import Resizing
from kedge.interop.design_snippet import design_snippet


def table(images: int = 40, size: tuple[int, int] = (480, 640)) -> BoxTable:
    """Nearly square boxes, four in an image."""
    random = np.random.default_rng(0)
    side = random.lognormal(4, 0.5, (images * 4, 1)).clip(8, 200)
    wh = side * random.uniform(0.9, 1.1, (images * 4, 2))
    corner = random.random(wh.shape) * (np.array(size[::-1]) - wh)
    return BoxTable(
        xyxy=np.concatenate([corner, corner + wh], 1).astype(np.float32),
        size=np.full((len(wh), 2), size, np.float32),
        image=np.repeat(np.arange(images), 4),
        label=np.zeros(len(wh), np.int64),
    )


@pytest.mark.parametrize(
    ("rule", "given", "size", "canvas"),
    [
        ("letterbox", None, (640, 640), (640, 640)),
        ("letterbox", 416, (416, 416), (416, 416)),
        ("stretch", (480, 640), (480, 640), (480, 640)),
        ("short-side", None, (800, 1333), (1333, 1333)),
        ("short-side", 600, (600, 1000), (1000, 1000)),
        ("short-side", (1333, 800), (800, 1333), (1333, 1333)),
    ],
)
def test_sizes_of_the_input(rule, given, size, canvas):
    resizing = Resizing.of(rule, given)
    assert (resizing.size, resizing.canvas, resizing.sides) == (size, canvas, (min(size),))


def test_several_scales_keep_the_proportion():
    resizing = Resizing.of("letterbox", (320, 640), (320, 608))
    assert resizing.sides == (320, 378, 435, 493, 550, 608)
    assert resizing.canvas == (608, 1216)
    seen = as_seen(table(3, (320, 640)), resizing.recipe)
    sides = {tuple(size) for size in seen.size.tolist()}
    assert sides == {(side, 2 * side) for side in resizing.sides}
    assert Resizing.of("short-side", None, (640, 640)).sides == (640,)
    assert Resizing.of("stretch", 64, (64, 80)).sides == (64, 80)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"multi_scale": (640, 320)}, "--multi-scale"),
        ({"multi_scale": (0, 320)}, "--multi-scale"),
        ({"image_size": 0}, "--image-size"),
        ({"image_size": (640, -1)}, "--image-size"),
        ({"threshold": 0.7}, "--threshold: the mean IoU has none"),
    ],
)
def test_wrong_words_are_named(words, message):
    with pytest.raises(ValueError, match=message):
        DesignSettings(**words)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (300, 1200), (333, 500)])
def test_short_side_is_torchvisions(height, width):
    """To the pixel that torchvision cuts off and we round."""
    boxes = torch.tensor([[10.0, 20.0, 110.0, 90.0]])
    transform = GeneralizedRCNNTransform(800, 1333, [0.0] * 3, [1.0] * 3)
    _, targets = transform([torch.zeros(3, height, width)], [{"boxes": boxes}])
    assert targets is not None
    mine = BoxTable(
        xyxy=boxes.numpy(),
        size=np.array([[height, width]], np.float32),
        image=np.zeros(1, np.int64),
        label=np.zeros(1, np.int64),
    )
    seen = as_seen(mine, Resizing.of("short-side", None).recipe)
    np.testing.assert_allclose(seen.xyxy, targets[0]["boxes"].numpy(), rtol=3e-3)


def test_letterbox_is_kedges_own():
    resizing = Resizing.of("letterbox", (96, 160))
    for height, width in ((480, 640), (640, 480), (97, 31)):
        (resize,) = resizing.recipe.resizes
        assert resize.place(height, width) == Fit((96, 160)).placement(height, width)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_design_is_made_for_what_its_framework_does(framework):
    """Boxes of 640 x 480 images, as high as wide: stretching to a square makes them higher."""
    words = {"image_size": (320, 320), "compare": False, "curve": False, "restarts": 2}
    report = design_command(table(), DesignSettings(k=3, framework=framework, **words))
    h_over_w = (report.design.shapes[:, 1] / report.design.shapes[:, 0]).median()
    expected = 4 / 3 if FRAMEWORKS[framework].resize == "stretch" else 1
    assert float(h_over_w) == pytest.approx(expected, rel=0.08)
    other = "stretch" if FRAMEWORKS[framework].resize == "letterbox" else "letterbox"
    settings = DesignSettings(k=3, framework=framework, resize=other, **words)
    assert f"by itself does otherwise ({FRAMEWORKS[framework].resize})" in design_snippet(
        design_command(table(), settings)
    )


@pytest.mark.parametrize(
    ("framework", "lines"),
    [
        ("darknet", ["stretched to 640 x 640", "[net] width=640 height=640"]),
        ("torchvision", ["shorter side of 800, the longer 1333", "min_size=800, max_size=1333"]),
        ("detectron2", ["INPUT.MIN_SIZE_TRAIN = (800,), INPUT.MAX_SIZE_TRAIN = 1333"]),
        ("mmdetection", ["dict(type='Resize', scale=(1333, 800), keep_ratio=True)"]),
        ("yolov5", ["letterboxed into 640 x 640", "train.py --img 640\n"]),
        ("kedge", ["letterboxed into 640 x 640", "kedge train --image-size 640 640"]),
    ],
)
def test_the_snippet_says_how_images_must_come(framework, lines):
    settings = DesignSettings(k=3, framework=framework, restarts=1, compare=False, curve=False)
    text = design_snippet(design_command(table(), settings))
    for line in lines:
        assert line in text
    pyramid = DesignSettings(layout="pyramid", scales=1, framework=framework, restarts=1)
    assert lines[0] in design_snippet(design_command(table(10), pyramid))


def test_scales_of_training_are_in_the_frameworks_words():
    words = {"k": 3, "restarts": 2, "compare": False, "curve": False, "multi_scale": (640, 704)}
    found = {
        name: design_snippet(design_command(table(8), DesignSettings(framework=name, **words)))
        for name in FRAMEWORKS
    }
    assert "min_size=(640, 672, 704)" in found["torchvision"]
    assert "MIN_SIZE_TRAIN = (640, 672, 704,)" in found["detectron2"]
    assert "scales=[(1333, 640), (1333, 672), (1333, 704)]" in found["mmdetection"]
    assert "random=1" in found["darknet"]
    assert "draws sides from 320 to 960" in found["yolov5"]


def test_boxes_at_several_scales_are_counted_once():
    mixed = table(8)
    mixed.xyxy[0] = np.nan
    report = design_command(
        mixed, DesignSettings(k=3, restarts=2, compare=False, curve=False, multi_scale=(320, 640))
    )
    assert (report.boxes, report.dropped, report.passes) == (31, 1, 6)
    assert "31 boxes in 8 images" in report.text()
    assert "note: left out: 1 box without positive finite sides" in report.text()
    assert report.to_dict()["boxes"] == 31
    assert report.to_dict()["resize"] == "letterbox"


def test_the_input_of_short_side_is_that_of_these_images():
    """640 x 480 becomes 320 x 240: a shape 250 high is larger than that, not than 400 x 400."""
    seen = table(6)
    seen.xyxy[0] = (0, 0, 600, 470)
    settings = DesignSettings(
        layout="pyramid", scales=1, ratios=1, strides=(8.0, 16.0), image_size=(240, 400),
        resize="short-side", restarts=4, compare=False,
    )  # fmt: skip
    report = design_command(seen, settings)
    assert report.design.placed is not None
    assert [(f.rows, f.columns) for f in report.design.placed.floors] == [(30, 40), (15, 20)]
    assert ("larger than the input of 320 x 240" in " ".join(report.notes)) == bool(
        (report.design.shapes > 240).any()
    )
