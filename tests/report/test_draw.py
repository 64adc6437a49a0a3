"""Drawings: the right colour in the right place, and the input left alone."""

import math

import numpy as np
import PIL.Image
import pytest
import torch

from kedge.report import draw_answers, draw_assignment, draw_boxes, draw_detections, to_image
from kedge.report.draw import ANSWERED, COLOURS, MISSED

GREY = np.full((600, 1000, 3), 128, np.uint8)  # large enough not to be enlarged


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def near(picture, x, y, colour, reach=2):
    pixels = np.asarray(picture)[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(
        -1, 3
    )
    return (pixels == rgb(colour)).all(1).any()


def test_a_box_lies_on_its_edges_and_nowhere_else():
    picture = draw_boxes(GREY, [[100, 50, 300, 250]])
    for x, y in ((100, 150), (300, 150), (200, 50), (200, 250)):
        assert near(picture, x, y, COLOURS[0])
    assert not near(picture, 200, 150, COLOURS[0], reach=40)
    assert (GREY == 128).all()


def test_small_pictures_are_enlarged_and_boxes_with_them():
    picture = draw_boxes(np.zeros((30, 48, 3), np.uint8), [[12, 6, 24, 18]])
    assert picture.size == (960, 600)
    assert near(picture, 240, 240, COLOURS[0])


def test_detections_take_the_colour_of_their_class_and_weak_ones_are_left_out():
    found = {
        "boxes": torch.tensor([[100.0, 100, 200, 200], [400, 100, 500, 200], [700, 100, 800, 200]]),
        "labels": torch.tensor([0, 1, 2]),
        "scores": torch.tensor([0.9, 0.8, 0.1]),
    }
    picture = draw_detections(GREY, found, {"boxes": [[100, 400, 200, 500]]}, names=["a", "b", "c"])
    assert near(picture, 150, 200, COLOURS[0])
    assert near(picture, 450, 200, COLOURS[1])
    assert not near(picture, 750, 200, COLOURS[2], reach=5)
    assert near(picture, 150, 400, "#ffffff", reach=6)  # dashed: somewhere near


def test_answered_objects_are_green_and_missed_ones_red():
    picture = draw_answers(GREY, [[100, 100, 200, 200], [400, 100, 500, 200]], [True, False])
    assert near(picture, 150, 100, ANSWERED)
    assert near(picture, 450, 100, MISSED, reach=8)
    assert not near(picture, 150, 100, MISSED, reach=8)


def test_an_assignment_colours_anchors_by_object_and_shows_who_has_none():
    boxes = [[100, 100, 200, 200], [400, 100, 500, 200]]
    picture = draw_assignment(GREY, boxes, [[90, 80, 190, 180]], [0])
    assert near(picture, 90, 130, COLOURS[0])
    assert near(picture, 140, 130, COLOURS[0])  # the dot on the cell
    assert near(picture, 450, 100, MISSED, reach=8)
    cells = np.asarray(draw_assignment(GREY, [], [], [], stride=(100, 50)))
    assert (cells[10, 100] != 128).all()
    assert (cells[50, 10] != 128).all()
    assert (cells[10, 10] == 128).all()
    with pytest.raises(ValueError, match="stride"):
        draw_assignment(GREY, [], [], [], stride=0)
    with pytest.raises(ValueError, match=r"target_index must lie in 0\.\.1"):
        draw_assignment(GREY, boxes, [[0, 0, 9, 9]], [2])


@pytest.mark.parametrize("draw", [draw_boxes, lambda i, b: draw_answers(i, b, np.ones(len(b)))])
def test_absurd_boxes_and_none_at_all_do_no_harm(draw):
    absurd = [[math.nan, 0, 1, 1], [-1e30, -1e30, 1e30, 1e30], [50, 50, 50, 50], [90, 80, 20, 10]]
    assert draw(GREY, absurd).size == (1000, 600)
    np.testing.assert_array_equal(np.asarray(draw(GREY, [])), GREY)
    assert draw_assignment(GREY, absurd, absurd, [0, 1, 2, 3]).size == (1000, 600)
    assert draw_assignment(GREY, [], [], []).size == (1000, 600)


def test_captions_at_the_rim_stay_inside():
    picture = draw_boxes(GREY, [[980, -5, 1020, 20]], ["a long caption"])
    assert near(picture, 900, 5, COLOURS[0], reach=4)


def test_columns_of_the_wrong_length_are_named():
    with pytest.raises(ValueError, match="captions must have an entry a box, 1, not 2"):
        draw_boxes(GREY, [[0, 0, 5, 5]], ["a", "b"])
    with pytest.raises(ValueError, match="answered must have an entry a box, 1, not 2"):
        draw_answers(GREY, [[0, 0, 5, 5]], [True, False])


def test_every_kind_of_image_reads_the_same(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    chw = torch.from_numpy(pixels).permute(2, 0, 1)
    for image in (pixels, chw, chw.float() / 255, tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_array_equal(np.asarray(to_image(image)), pixels)
    grey = to_image(torch.rand(1, 5, 7))
    assert (grey.mode, grey.size) == ("RGB", (7, 5))
    with pytest.raises(ValueError, match="channels"):
        to_image(np.zeros((5, 7, 4)))
    with pytest.raises(ValueError, match="dimensions"):
        to_image(np.zeros(5))
