"""Selective search and EdgeBoxes, where OpenCV's contrib modules are; else the clear error."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kedge.proposals import EdgeBoxes, SelectiveSearch

BOTH = pytest.mark.parametrize("source", [SelectiveSearch(), EdgeBoxes()], ids=["search", "edges"])


def scene():
    """A bright square [20, 60) x [30, 50) on grey."""
    image = np.full((80, 96, 3), 90, np.uint8)
    image[30:50, 20:60] = (220, 40, 30)
    return image


def contrib():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "ximgproc"):
        pytest.skip("this OpenCV has no contrib modules: pip install 'kedge[proposals]'")


@BOTH
def test_an_object_that_stands_out_is_found(source):
    contrib()
    boxes, scores = source.boxes(scene())
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    assert (np.diff(scores) <= 0).all()
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= (96, 80)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    low = np.maximum(boxes[:, :2], (20, 30))
    high = np.minimum(boxes[:, 2:], (60, 50))
    shared = (high - low).clip(0).prod(1)
    overlap = shared / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + 800 - shared)
    assert overlap.max() > 0.7


@BOTH
def test_an_image_of_one_colour_gives_what_is_there(source):
    contrib()
    boxes, scores = source.boxes(np.full((40, 60, 3), 7, np.uint8))
    assert boxes.shape == (len(scores), 4)
    assert len(boxes) <= 1  # selective search: the image itself


@BOTH
def test_without_opencv_the_error_says_what_to_install(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"needs OpenCV: pip install 'kedge\[proposals\]'"):
        source.boxes(scene())
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace())
    with pytest.raises(ImportError, match="contrib modules, and this one has none"):
        source.boxes(scene())


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="mode is 'fast' or 'quality'"):
        SelectiveSearch(mode="slow")
    with pytest.raises(ValueError, match="most must be at least 1"):
        EdgeBoxes(most=0)
    with pytest.raises(ValueError, match="within"):
        EdgeBoxes(alpha=1.5)
