"""Heat maps over pictures: the panels, what is warm in them, and what was found."""

import numpy as np
import pytest

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
