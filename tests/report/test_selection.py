"""The sheet of strategies: a panel each, dots where the anchors are, crosses where none is."""

import numpy as np
import pytest
import torch

from kedge import Grid, Level, Targets
from kedge.assign import FCOS, MaxIoU
from kedge.report import draw_strategies
from kedge.report.draw import COLOURS, MISSED

GREY = np.full((120, 240, 3), 128, np.uint8)
PANEL, TITLE, GAP = 480, 48, 8


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def scene(*boxes, crowd=()):
    grid = Grid((120, 240), [Level(stride=8, shapes=[(32, 32)])])
    target = {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)}
    target["iscrowd"] = torch.tensor([i in crowd for i in range(len(target["boxes"]))])
    return grid, Targets.from_list([target])


def like(sheet, x, y, colour, reach=4):
    """Whether a colour is about there; x and y in pixels of the picture, in the first panel."""
    pixels = np.asarray(sheet).astype(int)
    x, y = 2 * x, TITLE + 2 * y
    patch = pixels[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3)
    return bool((abs(patch - rgb(colour)).max(1) < 40).any())


def test_a_dot_stands_at_a_positive_anchor_in_the_colour_of_its_object():
    grid, targets = scene([84, 44, 116, 76], [0, 0, 3, 3])
    chosen = MaxIoU(low_quality="none")(grid, targets)
    assert 0 in chosen.target
    assert 1 not in chosen.target
    sheet = draw_strategies(GREY, grid, {"max_iou": chosen})
    assert sheet.size == (PANEL, TITLE + 240)
    x, y = grid.points(grid.local(chosen.anchor[:1]))[0].long().tolist()
    assert like(sheet, x, y, COLOURS[0])
    assert like(sheet, 3, 2, MISSED)  # the second object has no anchor
    assert not like(sheet, 200, 100, COLOURS[0], reach=30)


def test_panels_stand_in_rows_and_every_one_draws_its_own_choice():
    grid, targets = scene([30, 20, 90, 80])
    chosen = {f"rule {i}": (FCOS() if i % 2 else MaxIoU())(grid, targets) for i in range(5)}
    sheet = draw_strategies(GREY, grid, chosen, columns=3)
    assert sheet.size == (3 * (PANEL + GAP) - GAP, 2 * (TITLE + 240 + GAP) - GAP)
    panels = np.asarray(sheet)[TITLE : TITLE + 240]
    first, second, third = (panels[:, i * 488 : i * 488 + PANEL] for i in range(3))
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)


def test_an_empty_image_and_a_crowd_alone_are_drawn_without_a_box():
    empty, crowd = scene(), scene([10, 10, 60, 60], crowd=(0,))
    one, other = (
        draw_strategies(GREY, grid, {"": MaxIoU()(grid, targets)})
        for grid, targets in (empty, crowd)
    )
    assert np.array_equal(np.asarray(one), np.asarray(other))


def test_a_batch_of_two_is_refused():
    grid = scene()[0]
    targets = Targets.from_list([{"boxes": torch.zeros(0, 4)}] * 2)
    with pytest.raises(ValueError, match="takes one image: 'mine' has several"):
        draw_strategies(GREY, grid, {"mine": MaxIoU()(grid, targets)})
    with pytest.raises(ValueError, match="at least one"):
        draw_strategies(GREY, grid, {})


def test_where_objects_are_small_the_surroundings_of_the_largest_are_shown():
    """An object of 6 x 4 at (200, 100) of 240 x 120: eight times its longer side along the longer
    side of the picture, 48 x 24, shifted back into it; the numbers stay those of the image."""
    grid, targets = scene([227, 98, 233, 102], [20, 20, 22, 22])
    chosen = MaxIoU()(grid, targets)
    sheet = draw_strategies(GREY, grid, {"max_iou": chosen})
    assert sheet.size == (PANEL, TITLE + 240)
    scale = PANEL / 48
    x, y = round((233 - 192) * scale), TITLE + round((100 - 88) * scale)
    patch = np.asarray(sheet).astype(int)[y - 4 : y + 5, x - 6 : x + 7].reshape(-1, 3)
    wanted = COLOURS[0] if (chosen.target == 0).any() else MISSED
    assert (abs(patch - rgb(wanted)).max(1) < 40).any()
    large = draw_strategies(GREY, grid, {"": MaxIoU()(*scene([0, 0, 30, 9]))})
    assert like(large, 30, 5, COLOURS[0])  # an eighth of the picture: all of it
