"""Sliding windows: how many, where, and in which order."""

import numpy as np
import pytest

from kedge.proposals import SlidingWindow
from kedge.proposals.by_name import SOURCES, source_of


def blank(height, width):
    return np.zeros((height, width, 3), np.uint8)


def test_windows_by_hand():
    """8 x 8 pixels, windows of 8 and of 4, half a window apart: 1, and 3 x 3."""
    boxes, scores = SlidingWindow(sides=(0.5, 1.0), h_over_w=(1.0,)).boxes(blank(8, 8))
    small = [[x, y, x + 4, y + 4] for y in (0, 2, 4) for x in (0, 2, 4)]
    assert boxes[:1].tolist() == [[0, 0, 8, 8]]
    assert sorted(boxes[1:].tolist()) == sorted(small)
    assert scores.tolist() == [1.0] + [0.25] * 9


def test_they_reach_every_border_of_any_image_and_stay_inside():
    for height, width in ((1, 1), (480, 640), (7, 300)):
        boxes, scores = SlidingWindow().boxes(blank(height, width))
        assert boxes.dtype == scores.dtype == np.float32
        assert len(boxes) == len(scores) == len(np.unique(boxes, axis=0))
        assert boxes[:, :2].min() == 0
        assert boxes[:, 2].max() == width
        assert boxes[:, 3].max() == height
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (np.diff(scores) <= 0).all()


def test_the_step_is_a_share_of_the_window_at_most():
    boxes, _ = SlidingWindow(sides=(0.25,), h_over_w=(1.0,), step=0.3).boxes(blank(100, 100))
    left = np.unique(boxes[:, 0])
    assert np.diff(left).max() <= 0.3 * 25 + 1e-4
    assert len(left) == 11  # 75 pixels in steps of at most 7.5


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"step": 0.0}, {"sides": ()}, {"h_over_w": (1.0, -1.0)}):
        with pytest.raises(ValueError, match="must be positive"):
            SlidingWindow(**wrong)


def test_sources_by_name():
    assert source_of("sliding-window:step=0.25") == SlidingWindow(step=0.25)
    assert source_of("selective-search:most=7").most == 7
    mine = SlidingWindow(step=0.3)
    assert source_of(mine) is mine
    with pytest.raises(
        ValueError, match=r"no source 'slide'.* there are sliding_window, selective"
    ):
        source_of("slide")
    assert list(SOURCES) == ["sliding_window", "selective_search", "edge_boxes"]
