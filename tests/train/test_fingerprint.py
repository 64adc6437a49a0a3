"""What was trained on is told apart from data that changed since."""

from dataclasses import replace

import numpy as np
import pytest

from kedge.data import read
from kedge.train.fingerprint import changes, fingerprint


@pytest.fixture
def data(mini):
    return read(str(mini), "train")


def with_first(data, **values):
    """`data` with other values in its first record."""
    return replace(data, records=[replace(data.records[0], **values), *data.records[1:]])


def test_the_same_data_have_the_same_fingerprint(mini, data):
    mark = fingerprint(data)
    assert mark == fingerprint(read(str(mini), "train"))
    assert changes(mark, mark) == ""
    counts = {part: values["count"] for part, values in mark.items()}
    assert counts == {"classes": 5, "images": 12, "boxes": data.num_boxes}


def test_what_changed_is_said(data):
    mark, first, n = fingerprint(data), data.records[0], data.num_boxes

    def said(other):
        return changes(mark, fingerprint(other))

    moved, other = first.boxes.copy(), first.labels.copy()
    moved[0, 0] = np.nextafter(moved[0, 0], np.float32(0))  # the last bit of one coordinate
    other[0] += 1
    boxes = f"{n} boxes as then, but not the same"
    assert said(with_first(data, boxes=moved)) == boxes
    assert said(with_first(data, labels=other)) == boxes
    assert said(with_first(data, crowd=~first.crowd)) == boxes
    images = "12 images as then, but not the same"
    assert said(with_first(data, width=first.width + 1)) == images
    assert said(with_first(data, name="another.png")) == images
    renamed = replace(data, classes=("wheel", *data.classes[1:]))
    assert said(renamed) == "5 classes as then, but not the same"
    fewer = replace(data, records=data.records[1:])
    left = n - len(first.boxes)
    assert said(fewer) == f"12 images then, 11 now; {n} boxes then, {left} now"


def test_extreme_points_that_came_or_went_are_a_change(data):
    with_points = with_first(data, extremes=np.zeros((len(data.records[0].boxes), 4), np.float32))
    marks, n = (fingerprint(data), fingerprint(with_points)), len(data.records[0].boxes)
    assert changes(*marks) == f"0 extreme points then, {n} now"
    assert changes(*marks[::-1]) == f"{n} extreme points then, 0 now"


def test_the_order_of_images_and_where_a_box_belongs_count(data):
    turned = replace(data, records=data.records[::-1])
    assert changes(fingerprint(data), fingerprint(turned)).count("not the same") == 2
    a, b = data.records[:2]
    both = [np.concatenate([getattr(a, k), getattr(b, k)]) for k in ("boxes", "labels", "crowd")]
    split = len(a.boxes) + 1
    parts = [[values[:split] for values in both], [values[split:] for values in both]]
    records = [
        replace(r, boxes=boxes, labels=labels, crowd=crowd)
        for r, (boxes, labels, crowd) in zip((a, b), parts)
    ]
    shifted = replace(data, records=[*records, *data.records[2:]])  # the same boxes in a row
    assert changes(fingerprint(data), fingerprint(shifted)) != ""
    names = replace(data, classes=("ab", "c")), replace(data, classes=("a", "bc"))
    assert changes(*map(fingerprint, names)) == "2 classes as then, but not the same"


def test_a_run_without_a_fingerprint_is_not_taken_for_the_same(data):
    assert changes({}, fingerprint(data)) == "what they were then is not known"
