"""Proposals are looked for once per image and kept by what the image is."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kedge.data import Record
from kedge.proposals import SlidingWindow
from kedge.proposals.kept import Proposals


class Counting:
    """A source that counts the images that it is shown."""

    def __init__(self, name="one"):
        self.name, self.seen = name, 0

    def __repr__(self):
        return f"Counting({self.name})"

    def boxes(self, image):
        self.seen += 1
        height, width = image.shape[:2]
        count = self.seen % 3  # also none at all
        box = np.array([0, 0, width, height], np.float32) * (0.5 + image[0, 0, 0] / 510)
        return np.tile(box, (count, 1)), np.linspace(1, 0, count, dtype=np.float32)


def record(file, number, size=(12, 20)):
    empty = np.zeros((0, 4), np.float32)
    return Record(
        file=file, width=size[1], height=size[0], boxes=empty, labels=np.zeros(0, np.int64),
        crowd=np.zeros(0, bool), image_id=number, name=file.name,
    )  # fmt: skip


@pytest.fixture
def records(tmp_path):
    found = []
    for number in range(4):
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.full((12, 20, 3), 50 * number, np.uint8)).save(file)
        found.append(record(file, number))
    return found


def test_an_image_is_looked_at_once_also_from_one_process_to_the_next(records, tmp_path):
    source, file = Counting(), tmp_path / "deep" / "kept.npz"
    first = Proposals(source, file)(records)
    assert source.seen == 4
    again = Proposals(source, file)(records[::-1])[::-1]
    assert source.seen == 4
    for (boxes, scores), (other, theirs) in zip(first, again, strict=True):
        np.testing.assert_array_equal(boxes, other)
        np.testing.assert_array_equal(scores, theirs)
    assert [len(boxes) for boxes, _ in first] == [1, 2, 0, 1]
    assert not list(file.parent.glob(".*part"))


def test_an_image_that_has_changed_is_looked_at_again(records, tmp_path):
    source, file = Counting(), tmp_path / "kept.npz"
    Proposals(source, file)(records)
    Image.fromarray(np.full((12, 20, 3), 255, np.uint8)).save(records[1].file)
    Proposals(source, file)(records)
    assert source.seen == 5
    moved = tmp_path / "renamed.png"
    records[2].file.rename(moved)
    Proposals(source, file)([record(moved, 9)])
    assert source.seen == 5  # what counts is the image, not its name
    Proposals(source, file)([replace(record(moved, 9), upright=False)])
    assert source.seen == 6


def test_sources_share_a_file_and_not_their_boxes(records, tmp_path):
    file = tmp_path / "kept.npz"
    Proposals(Counting("one"), file)(records)
    other = Counting("two")
    Proposals(other, file)(records)
    assert other.seen == 4
    last = Counting("one")
    Proposals(last, file)(records)
    assert last.seen == 0


def test_drawn_images_are_known_by_their_pixels(tmp_path):
    source = Counting()
    pixels = np.full((12, 20, 3), 9, np.uint8)
    drawn = replace(record(tmp_path / "x", 0), file=None, draw=lambda: pixels)
    kept = Proposals(source)
    kept([drawn, drawn])
    assert source.seen == 1


def test_a_file_that_cannot_be_right_is_named(records, tmp_path):
    file = tmp_path / "kept.npz"
    file.write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"kept.npz: cannot be read as .npz"):
        Proposals(SlidingWindow(), file)
    np.savez(file, boxes=np.zeros((0, 4)))
    with pytest.raises(ValueError, match=r"kept.npz: no file of kedge proposals: it lacks source"):
        Proposals(SlidingWindow(), file)
    file.unlink()
    Proposals(SlidingWindow(), file)(records)
    arrays = dict(np.load(file))
    np.savez(file, **arrays | {"count": arrays["count"] - 1})
    with pytest.raises(ValueError, match="its arrays do not agree"):
        Proposals(SlidingWindow(), file)
    arrays["boxes"][3, 2] = 21
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match="box 3 is empty or outside of its image"):
        Proposals(SlidingWindow(), file)
