"""RetinaNet-style designs: what they hold, and that they beat RetinaNet's own numbers."""

import math

import numpy as np
import pytest
import torch

from kedge.anchors.presets import preset, ratio_shapes
from kedge.design import Placed, Points, fit_pyramid, floors, measure


def data(n: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small, wide boxes and their centres in 640 x 640."""
    random = np.random.default_rng(seed)
    side = random.lognormal(3.2, 0.6, n).clip(4, 300)
    wh = np.stack([side * 1.7, side], 1)
    return wh, wh / 2 + random.random((n, 2)) * (640 - wh)


@pytest.mark.parametrize("objective", ["mean_iou", "placed"])
def test_every_level_has_its_size_times_scales_and_ratios(objective):
    wh, centres = data()
    strides = (32, 8, 16)
    found = fit_pyramid(
        wh, 2, 3, objective, image_size=640, strides=strides, centres=centres, restarts=4
    )
    assert found.pyramid is not None
    assert found.levels is not None
    assert [level.stride for level in found.levels] == [8, 16, 32]
    assert list(found.pyramid.sizes) == sorted(found.pyramid.sizes)
    for size, (_, shapes) in zip(found.pyramid.sizes, found.levels):
        made = ratio_shapes([size * s for s in found.pyramid.scales], found.pyramid.h_over_w)
        torch.testing.assert_close(sorted(shapes), sorted(made), atol=1e-3, rtol=1e-4)
    assert found.shapes.shape == (18, 2)
    assert found.pyramid == found.pyramid.rounded()  # as printed
    assert found.to_dict()["pyramid"]["scales"][0] == 1


def test_more_objects_get_a_positive_than_with_the_published_anchors():
    wh, centres = data()
    points = Points.of(wh, centres=centres)
    published = preset("retinanet")
    level = torch.arange(5).repeat_interleave(9)
    grid = Placed(floors=floors(published.strides, (640, 640), published.offset), level=level)
    before = measure(points, torch.tensor(published.shapes), grid).placed_recall
    found = fit_pyramid(wh, 3, 3, "placed", image_size=640, centres=centres, restarts=4)
    assert before is not None
    assert found.placed_recall is not None
    assert found.placed_recall > before + 0.1
    assert found.score == pytest.approx(found.placed_recall, abs=2e-3)


def test_deterministic_and_few_boxes_are_no_trouble():
    one = fit_pyramid([(40.0, 20.0)] * 3, 1, 2, image_size=64, strides=(8, 16), restarts=4)
    two = fit_pyramid([(40.0, 20.0)] * 3, 1, 2, image_size=64, strides=(8, 16), restarts=4)
    assert one.pyramid == two.pyramid
    assert one.mean_best_iou > 0.99
    assert not math.isnan(one.score)
    (note,) = one.notes  # nothing of three boxes for four shapes
    assert note.startswith("larger than the input of 64 x 64 (w x h): ")


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="at least 1 of each, got 0, 3"):
        fit_pyramid([(4, 5)], 0, 3, image_size=64)
    with pytest.raises(ValueError, match="no box"):
        fit_pyramid([(0, 5)], 1, 1, image_size=64)
    with pytest.raises(ValueError, match="objective"):
        fit_pyramid([(4, 5)], 1, 1, "best", image_size=64)
