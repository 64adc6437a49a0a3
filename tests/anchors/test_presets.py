"""Published anchors against torchvision's generators and against tables copied by hand."""

import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from kedge.anchors.presets import (
    preset,
    preset_names,
    ratio_shapes,
    retinanet_shapes,
    torchvision_rounded,
)


def wh_of(cell_anchors: torch.Tensor) -> list[tuple[float, float]]:
    return [tuple(x) for x in (cell_anchors[:, 2:] - cell_anchors[:, :2]).tolist()]


@pytest.mark.parametrize(
    ("name", "build", "anchors_of"),
    [
        ("faster_rcnn_fpn_torchvision", fasterrcnn_resnet50_fpn, lambda m: m.rpn.anchor_generator),
        ("retinanet_torchvision", retinanet_resnet50_fpn, lambda m: m.anchor_generator),
    ],
)
def test_rounded_shapes_are_torchvisions(name, build, anchors_of):
    generator = anchors_of(build(weights=None, weights_backbone=None))
    ours = preset(name)
    assert len(ours.levels) == len(generator.cell_anchors)
    for level, cells in zip(ours.levels, generator.cell_anchors, strict=True):
        assert list(level.shapes) == wh_of(cells)


def test_ssd300_is_torchvisions_boxes_in_order_and_number():
    generator = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    maps = [torch.zeros(1, 8, s, s) for s in (38, 19, 10, 5, 3, 1)]
    images = ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)])
    boxes = generator(images, maps)[0]
    ours = preset("ssd300")
    shapes = [
        shape
        for level, m in zip(ours.levels, maps, strict=True)
        for _ in range(m.shape[-1] ** 2)
        for shape in level.shapes
    ]
    assert len(shapes) == len(boxes) == 8732
    torch.testing.assert_close(torch.tensor(shapes), boxes[:, 2:] - boxes[:, :2], atol=1e-3, rtol=0)
    centre = (boxes[0, :2] + boxes[0, 2:]) / 2  # the first cell's centre: offset 0.5, stride 8
    assert centre.tolist() == pytest.approx([ours.offset * ours.levels[0].stride] * 2, abs=1e-4)


def test_ssd_sizes_by_hand():
    squares = [level.shapes[0][0] for level in preset("ssd300_voc").levels]
    assert squares == pytest.approx([30, 60, 111, 162, 213, 264])
    squares = [level.shapes[0][0] for level in preset("ssd300").levels]
    assert squares == pytest.approx([21, 45, 99, 153, 207, 261])
    assert preset("ssd300_voc").levels[0].shapes[1][0] == pytest.approx((30 * 60) ** 0.5)
    assert preset("ssd300_voc").levels[0].shapes[2] == pytest.approx((30 * 2**0.5, 30 / 2**0.5))


def test_number_of_boxes_of_ssd512_and_refinedet():
    for name, number in (("ssd512", 24564), ("ssd512_voc", 24564), ("refinedet", 6375)):
        p = preset(name)
        side = p.image_size[0]
        cells = [(-(-side // int(level.stride))) ** 2 * len(level.shapes) for level in p.levels]
        assert sum(cells) == number


def test_retinanet_by_hand():
    first = retinanet_shapes()[0]
    assert len(first) == 9
    assert first[0] == pytest.approx((45.2548, 22.6274), abs=1e-4)  # h/w = 0.5 is wide
    assert first[3] == pytest.approx((32, 32))
    assert first[4] == pytest.approx((40.3175, 40.3175), abs=1e-4)
    assert first[6] == pytest.approx((22.6274, 45.2548), abs=1e-4)
    cells = sum(-(-800 // s) * -(-1344 // s) for s in (8, 16, 32, 64, 128))
    assert cells * len(first) == 201_600


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("yolov2_voc", [(42.3072, 55.4064), (359.5648, 320.2272)]),
        ("yolov2_coco", [(18.32736, 21.67632), (312.65664, 293.38496)]),
        ("yolov2_tiny_voc", [(34.56, 38.08), (531.84, 336.64)]),
        ("yolov3", [(10, 13), (373, 326)]),
        ("yolov5", [(10, 13), (373, 326)]),
        ("yolov3_tiny", [(10, 14), (344, 319)]),
        ("uniform", [(96, 96), (192, 192)]),
        ("identical", [(160, 160), (160, 160)]),
        ("py_faster_rcnn", [(184, 96), (352, 704)]),
        ("faces", [(16, 16), (512, 512)]),
    ],
)
def test_first_and_last_shape_by_hand(name, pixels):
    shapes = preset(name).shapes
    assert shapes[0] == pytest.approx(pixels[0])
    assert shapes[-1] == pytest.approx(pixels[-1])


def test_domain_presets_keep_their_ratio():
    assert all(w == h for w, h in preset("faces").shapes)
    assert all(w / h == pytest.approx(0.41) for w, h in preset("pedestrian").shapes)
    ratios = sorted({round(h / w, 6) for w, h in preset("text").shapes})
    assert ratios == pytest.approx([1 / 5, 1 / 3, 1 / 2, 1, 2, 3, 5], abs=1e-5)


def test_order_of_ratio_shapes():
    assert ratio_shapes((1, 2), (1.0, 4.0)) == ((1, 1), (2, 2), (0.5, 2), (1, 4))
    assert ratio_shapes((1, 2), (1.0, 4.0), size_outer=True) == ((1, 1), (0.5, 2), (2, 2), (1, 4))


def test_rounding_is_half_to_even():
    assert torchvision_rounded([(5, 7), (1, 3)]) == ((4, 8), (0, 4))


def test_every_preset_is_sane():
    for name in preset_names():
        p = preset(name)
        assert p.name == name
        assert p.source
        assert list(p.strides) == sorted(p.strides)
        assert all(w > 0 and h > 0 for w, h in p.shapes)


def test_a_name_is_found_in_any_spelling_and_an_unknown_one_lists_the_names():
    assert preset("YOLOv2-VOC").name == "yolov2_voc"
    with pytest.raises(ValueError, match="yolov2_coco"):
        preset("yolov9")
