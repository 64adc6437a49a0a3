"""Heat maps over pictures: the panels, what is warm in them, and what was found."""

import numpy as np
import pytest
import torch
from detectors.scenes import GUIDED, KEYPOINTS, SPARSE, make

from kedge.doctor.scene import within
from kedge.report import draw_heat

GREY = np.full((60, 100, 3), 128, np.uint8)


def test_a_panel_for_every_map_and_one_for_what_was_found():
    heat = {"top left": np.zeros((2, 6, 10)), "bottom right": np.zeros((6, 10))}
    boxes = [[10.0, 10, 40, 30]]
    assert draw_heat(GREY, heat, boxes).size == (2 * 488 - 8, 48 + 288)
    assert draw_heat(GREY, heat, boxes, boxes).size == (3 * 488 - 8, 48 + 288)
    assert draw_heat(GREY, heat, boxes, [], columns=2).size == (2 * 488 - 8, 2 * (48 + 288) + 8)
    with pytest.raises(ValueError, match="at least one map"):
        draw_heat(GREY, {}, boxes)


def test_it_is_warm_where_the_map_is():
    """The right half of one class, nothing of the other: the largest counts."""
    heat = np.zeros((2, 6, 10))
    heat[1, :, 5:] = 1.0
    panel = np.asarray(draw_heat(GREY, {"heat": heat}, [])).astype(int)[48:]
    red_over_blue = panel[..., 0] - panel[..., 2]
    assert red_over_blue[:, 300:].min() > 100
    assert abs(red_over_blue[:, :180]).max() < 15


@pytest.mark.parametrize("name", [*KEYPOINTS, *SPARSE, *GUIDED])
def test_what_every_detector_of_maps_sees_can_be_drawn(name):
    """The maps lie on the image, not on the padding: 70 x 100 px, sides of multiples of 32."""
    model, size = make(name).eval(), (70, 100)
    heat = model.heat_maps(torch.zeros(1, 3, *size))
    assert heat
    stride = model.strides[0]
    shown = {key: within(maps[0], size, model.multiple) for key, maps in heat.items()}
    for cells in shown.values():
        assert cells.shape[1:] == (-(-70 // stride), -(-100 // stride))
        assert 0 <= float(cells.min()) <= float(cells.max()) <= 1
    sheet = draw_heat(np.full((*size, 3), 128, np.uint8), shown, [[10.0, 10, 40, 30]])
    assert sheet.width == min(len(heat), 4) * 488 - 8
