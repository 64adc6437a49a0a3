"""Anchor fit by hand, by brute force, and its refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from kedge.boxes import shape_iou
from kedge.evaluate import best_iou, bpr, mean_best_iou

P3 = [(10, 13), (16, 30), (33, 23)]  # YOLOv5's shapes of stride 8


def test_yolov5_metric_by_hand():
    """10 x 13 meets all three shapes within a factor of 4, 20 x 60 two, 100 x 90 one: 6 pairs for 3
    boxes.

    Best x: 1, min(20/16, 60/30) = .5, min(33/100, 23/90) = .255556; their mean is .585185.
    """
    fit = bpr([(10, 13), (20, 60), (100, 90)], P3)
    assert fit.bpr == 1
    assert fit.aat == 2
    assert fit.fitness == pytest.approx(0.585185, abs=1e-6)
    stricter = bpr([(10, 13), (20, 60), (100, 90)], P3, ratio=2.0)
    assert stricter.bpr == pytest.approx(1 / 3)  # a half is not above one half


def test_best_iou_by_hand():
    """10 x 20 in 20 x 10: 100 shared of 300; one inside the other: the ratio of areas."""
    for shapes, best in (([(20, 10)], 1 / 3), ([(20, 10), (20, 40)], 1 / 3), ([(20, 40)], 1 / 4)):
        np.testing.assert_allclose(best_iou([(10, 20)], shapes), [best])
    assert mean_best_iou([(10, 20), (5, 5)], [(10, 20)]) == pytest.approx((1 + 25 / 200) / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 7))
def test_best_iou_is_the_iou_of_boxes_at_one_corner(seed, n, k):
    generator = torch.Generator().manual_seed(seed)
    wh = torch.rand(n, 2, generator=generator, dtype=torch.float64) * 300 + 0.5
    shapes = torch.rand(k, 2, generator=generator, dtype=torch.float64) * 300 + 0.5
    dense = box_iou(torch.cat([wh * 0, wh], 1), torch.cat([shapes * 0, shapes], 1))
    np.testing.assert_allclose(best_iou(wh, shapes), dense.numpy().max(1), rtol=1e-12)


def test_chunks_leave_no_seam():
    wh = np.random.default_rng(0).uniform(1, 500, (150_000, 2))
    whole = shape_iou(torch.from_numpy(wh)[:, None], torch.tensor(P3).double()).amax(1)
    assert mean_best_iou(wh, P3) == pytest.approx(float(whole.mean()), rel=1e-12)
    parts = [bpr(half, P3).fitness for half in (wh[:75_000], wh[75_000:])]
    assert bpr(wh, P3).fitness == pytest.approx(np.mean(parts), rel=1e-12)


def test_without_boxes():
    assert math.isnan(mean_best_iou([], P3))
    assert math.isnan(bpr(np.zeros((0, 2)), P3).bpr)
    assert best_iou([], P3).shape == (0,)


@pytest.mark.parametrize(
    ("wh", "shapes", "message"),
    [
        ([(1, 2), (0, 3)], P3, r"wh\[1\] must be positive and finite"),
        ([(1, math.inf)], P3, r"wh\[0\]"),
        ([(1, 2, 3)], P3, r"\(n, 2\)"),
        ([(1, 2)], [], "shapes must hold at least 1 row"),
        ([(1, 2)], [(math.nan, 3)], r"shapes\[0\]"),
    ],
)
def test_impossible_sizes_are_named(wh, shapes, message):
    with pytest.raises(ValueError, match=message):
        mean_best_iou(wh, shapes)
    with pytest.raises(ValueError, match="ratio"):
        bpr([(1, 2)], P3, ratio=1.0)
