"""Words that several commands share."""

import pytest

from kedge.commands.words import height_and_width


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["640"], (640, 640)),
        (["480", "640"], (480, 640)),
        (["640x640"], (640, 640)),
        (["480x640"], (480, 640)),  # height first, as in the two words, and as pages print it
        (["480", "x", "640"], (480, 640)),
        (["480,640"], (480, 640)),
        (["480×640"], (480, 640)),
        ([480, 640], (480, 640)),
        (None, None),
    ],
)
def test_a_side_or_height_and_width(words, size):
    assert height_and_width(words) == size


@pytest.mark.parametrize(
    "words", [[], ["0"], ["640x0"], ["-640"], ["1", "2", "3"], ["large"], ["640x"], ["6.5"]]
)
def test_anything_else_is_refused(words):
    with pytest.raises(ValueError, match="--image-size: expected a side"):
        height_and_width(words)
