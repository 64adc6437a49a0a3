"""The shapes a run starts from."""

import numpy as np
import pytest
import torch

from kedge import Grid, Level
from kedge.anchors.queries.overlap import placed_iou
from kedge.design.balance import class_weights
from kedge.design.kmeans import kmeans
from kedge.design.on_levels import shapes_on_levels
from kedge.train.config import make_config
from kedge.train.make_detector import sketch_of
from kedge.train.seen_boxes import Seen
from kedge.train.start_shapes import shapes_on, start_shapes

SIZES = np.array([[10, 20], [11, 20], [40, 30], [42, 30], [10, 21], [41, 31]] * 5, np.float32)
SEEN = Seen(SIZES, np.zeros(len(SIZES), np.int64))


def shapes(strides=(32.0,), **settings):
    config = make_config(settings)
    return shapes_on(config, strides, 0.0, SEEN, config.num_anchors or 5)


def test_the_papers_uniform_and_identical_are_in_cells():
    assert shapes(anchors="uniform") == [[(96, 96), (96, 288), (288, 288), (288, 96), (192, 192)]]
    assert shapes(anchors="identical", num_anchors=3, strides=(16.0,)) == [[(80, 80)] * 3]


def test_kmeans_finds_the_two_clusters():
    (found,) = shapes(anchors="kmeans", num_anchors=2)
    assert np.allclose(found, [(10.33, 20.33), (41, 30.33)], atol=1.5)


def test_a_list_is_taken_as_it_is_and_scaled():
    assert shapes(anchors="20x10,4x8") == [[(20, 10), (4, 8)]]
    assert shapes(anchors="20x10,4x8", anchor_scale=0.5) == [[(10, 5), (2, 4)]]


def test_levels_share_a_list_by_area():
    dealt = shapes(anchors="40x40,1x1,10x10,2x2", strides=(8.0, 16.0))
    assert dealt == [[(1, 1), (2, 2)], [(10, 10), (40, 40)]]
    with pytest.raises(ValueError, match="3 shapes, which 2 levels cannot share"):
        shapes(anchors="40x40,1x1,10x10", strides=(8.0, 16.0))


def test_presets_go_level_by_level_or_onto_one():
    assert [len(level) for level in shapes(anchors="yolov3", strides=(8.0, 16.0, 32.0))] == [3] * 3
    (single,) = shapes(anchors="yolov2_coco")
    assert len(single) == 5
    with pytest.raises(ValueError, match=r"anchors: .*kmeanz"):
        shapes(anchors="kmeanz")


def test_several_levels_get_shapes_that_serve_the_boxes_where_they_stand():
    """Objects of 12 to 24 px, strides of 8 to 128: dealt by area, most stand on coarse cells."""
    random = np.random.default_rng(0)
    seen = random.uniform(12, 24, (2000, 2))
    config = make_config({"anchors": "kmeans", "num_anchors": 1, "image_size": (256, 320)})
    strides = (8.0, 16.0, 32.0, 64.0, 128.0)
    found = shapes_on(config, strides, 0.0, Seen(seen, np.zeros(2000, np.int64)), 1)
    assert [len(level) for level in found] == [1] * 5
    centre = random.uniform(0, 1, (2000, 2)) * (320, 256)
    boxes = torch.tensor(np.concatenate([centre - seen / 2, centre + seen / 2], 1)).float()

    def share(levels) -> float:
        rows = [Level(stride=s, shapes=m, offset=0.0) for s, m in zip(strides, levels)]
        return float((placed_iou(Grid((256, 320), rows), boxes).amax(1) >= 0.5).float().mean())

    dealt = [[tuple(shape)] for shape in kmeans(seen, 5).tolist()]
    assert share(found) > share(dealt) + 0.05


@pytest.mark.parametrize(("detector", "each"), [("yolov2", 5), ("retinanet", 9), ("atss", 1)])
def test_a_detector_gets_as_many_shapes_as_it_has_unless_told(detector, each):
    for number, expected in ((None, each), (2, 2)):
        config = make_config({"detector": detector, "anchors": "identical", "num_anchors": number})
        found = start_shapes(config, sketch_of(config), SEEN)
        assert {len(level) for level in found} == {expected}


def test_points_start_from_no_shapes():
    config = make_config({"detector": "fcos"})
    assert start_shapes(config, sketch_of(config), SEEN) is None
    for name, value in (
        ("anchors", "10x13,16x30"),
        ("num_anchors", 3),
        ("anchor_scale", 2.0),
        ("balance", "classes"),
    ):
        asked = make_config({"detector": "fcos", name: value})
        with pytest.raises(ValueError, match=f"^{name}: fcos has no anchor shapes"):
            start_shapes(asked, sketch_of(asked), SEEN)


def _unequal() -> Seen:
    """950 boxes of a class from 40 to 60 px, 50 of another from 10 to 20 px."""
    random = np.random.default_rng(0)
    sizes = np.concatenate([random.uniform(40, 60, (950, 2)), random.uniform(10, 20, (50, 2))])
    return Seen(sizes.astype(np.float32), np.repeat([0, 1], [950, 50]))


def test_where_classes_count_the_same_a_rare_one_has_as_many_shapes():
    small = []
    for balance in ("objects", "classes"):
        config = make_config({"anchors": "kmeans", "balance": balance, "image_size": (256, 320)})
        (found,) = shapes_on(config, (16.0,), 0.5, _unequal(), 6)
        small.append(sum(w < 30 for w, _ in found))
    assert small[0] < small[1]
    assert small[1] == 3  # of six


def test_on_several_levels_they_are_designed_for_as_they_count():
    seen, strides, found = _unequal(), (8.0, 16.0), {}
    for balance in ("objects", "classes"):
        config = make_config({"anchors": "kmeans", "balance": balance, "image_size": (256, 320)})
        found[balance] = shapes_on(config, strides, 0.5, seen, 2)
    size, counts = (256, 320), (2, 2)
    same = {"image_size": size, "strides": strides, "per_level": counts, "offset": 0.5}
    weights = class_weights(seen.label)
    assert found["classes"] == shapes_on_levels(seen.sizes, weights=weights, **same)
    assert found["objects"] == shapes_on_levels(seen.sizes, **same)
    assert found["classes"] != found["objects"]


def test_balance_is_refused_where_nothing_is_chosen_for_the_data():
    for settings in (
        {"anchors": "identical"},
        {"anchors": "identical", "learn_anchors": True, "warmup": "gradient"},
    ):
        config = make_config({"detector": "ssd", "balance": "classes", **settings})
        with pytest.raises(ValueError, match=r"^balance: 'identical' is not chosen for the data"):
            start_shapes(config, sketch_of(config), SEEN)
    learned = make_config(
        {"detector": "ssd", "balance": "classes", "anchors": "identical", "learn_anchors": True}
    )
    assert start_shapes(learned, sketch_of(learned), SEEN) is not None
