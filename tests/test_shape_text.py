"""Shapes as people type them, and as other frameworks and ``kedge design`` print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.interop.snippets import snippet
from kedge.shape_text import is_shapes, parse_shapes

TWO = [(10.0, 13.0), (16.0, 30.0)]


@pytest.mark.parametrize(
    "text",
    [
        "10x13,16x30",
        " 10 x 13 , 16X30 ",
        "10x13 16x30",
        "10×13, 16×30",
        "10,13, 16,30",
        "10,13,  16,30,",
        "10 13 16 30",
        "[10,13, 16,30]",
        "- [10,13, 16,30]  # P3/8",
        "[[10, 13], [16, 30]]",
        "[(10, 13), (16, 30)]",
        "anchors = 10,13,  16,30",
        "anchors=10,13,16,30\nnum=2\nmask = 0,1",
        "anchors:\n  - [10,13]  # P3/8\n  - [16,30]  # P4/16 # train with --noautoanchor",
        "anchors: [10.0, 13.0, 1.6e1, 30]",
    ],
)
def test_every_way_to_write_two_shapes(text):
    assert is_shapes(text)
    assert parse_shapes(text) == TWO


@pytest.mark.parametrize("framework", ["yolov5", "darknet"])
def test_what_is_printed_can_be_pasted_back(framework):
    levels = [(8.0, [(10.5, 13.2), (16.0, 30.1)]), (16.0, [(33.0, 61.0), (62.4, 45.0)])]
    text = snippet(framework, levels)
    assert parse_shapes(text) == [shape for _, shapes in levels for shape in shapes]


def test_anchors_of_a_region_layer_are_counted_in_cells():
    shapes = [(18.5, 27.25), (60.0, 90.0)]
    text = snippet("darknet", [(32.0, shapes)])
    for found, wanted in zip(parse_shapes(text), shapes, strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10x", "'10x' is not a shape"),
        ("10x13,16", "'16' is not a shape"),
        ("10x13x5", "is not a shape"),
        ("10,13,16", "3 numbers"),
        ("10x13,axb", "'axb' is not a shape"),
        ("0x5", "no area"),
        ("10,0", "no area"),
        ("-5,3", "'-5'"),
        ("1.5.2,3", r"'1\.5\.2'"),
        ("1e999,3", "no area"),
        ("yolov3", "'yolov3' is not a shape"),
        ("", "is not a shape"),
        ("anchors =", "is not a shape"),
        ("design.json", "is not a shape"),
        ("a" * 500, r"\.\.\.'"),
    ],
)
def test_what_is_no_shape_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        parse_shapes(text)


@pytest.mark.parametrize("name", ["yolov3", "ssd300", "kmeans", "runs/7/design.json", "[x]", ", ,"])
def test_names_and_files_are_no_shapes(name):
    assert not is_shapes(name)


SIDE = st.floats(0.01, 1e5, allow_nan=False).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=12))
def test_any_shapes_survive_either_spelling(shapes):
    crossed = ",".join(f"{w!r}x{h!r}" for w, h in shapes)
    pairs = ",  ".join(f"{w!r},{h!r}" for w, h in shapes)
    assert parse_shapes(crossed) == parse_shapes(pairs) == shapes


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        shapes = parse_shapes(text)
    except ValueError:
        return
    assert all(w > 0 and h > 0 for w, h in shapes)
