"""Objects that a resize leaves without a pixel are named with file and cure."""

import numpy as np
import pytest

from kedge.data import Data, Record
from kedge.data.below_a_pixel import below_a_pixel


def scene(*boxes, size=(14_000, 7_000), crowd=False):
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    record = Record(
        file=None,
        width=size[0],
        height=size[1],
        boxes=rows,
        labels=np.zeros(len(rows), np.int64),
        crowd=np.full(len(rows), crowd),
        image_id=0,
        name="scene.png",
    )
    return Data(
        source="here",
        format="",
        split=None,
        splits=(),
        classes=("ship",),
        category_ids=(0,),
        records=[record],
    )


def test_by_hand():
    # 14000 x 7000 into 640 x 1400: a tenth, so 8 pixels are 0.8 and 20 are 2
    data = scene((0, 0, 8, 30), (50, 50, 70, 70))
    text = below_a_pixel(data, (640, 1400))
    assert text is not None
    assert text.startswith("under one pixel wide or high: 1 of 2 objects in ")
    assert "(the smallest, 0.73, in scene.png)" in text  # 640 / 7000 is the smaller rate
    assert "in tiles of 640 x 1400 it has 8 pixels" in text


@pytest.mark.parametrize("size", [(64, 64), (200, 640), (640, 640)])
def test_the_input_that_it_names_is_large_enough(size):
    data = scene((0, 0, 8, 30), (50, 50, 70, 70))
    text = below_a_pixel(data, size)
    assert text is not None
    side = int(text.rsplit("--image-size ", 1)[1].rstrip(")"))
    assert below_a_pixel(data, (side, side)) is None


def test_nothing_to_say():
    assert below_a_pixel(scene((0, 0, 30, 30)), (640, 1400)) is None
    assert below_a_pixel(scene((0, 0, 1, 1), crowd=True), (640, 640)) is None
    assert below_a_pixel(scene(), (640, 640)) is None
    assert below_a_pixel(scene((0, 0, 8, 8), size=(100, 100)), (640, 640)) is None
