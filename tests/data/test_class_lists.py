"""What is odd about lists of classes is a finding, never an error."""

import json

import numpy as np
import pytest

from kedge.data import read


def write(folder, picture, name, *classes):
    picture(folder / "images" / f"{name}.jpg")
    whole = {
        "images": [{"id": 1, "file_name": f"{name}.jpg"}],
        "categories": [{"id": i, "name": text} for i, text in enumerate(classes)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 1, 5, 5]}],
    }
    (folder / f"{name}.json").write_text(json.dumps(whole))


def messages(data):
    return {finding.kind: finding.message for finding in data.findings}


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        (("a", "", " "), "class without a name", "class 1, 2"),
        (("car", "Car", "CAR "), "class names alike", "'car', 'Car', 'CAR '"),
        (("a", "b", "a"), "classes of one name", "2 classes are called 'a'"),
    ],
)
def test_names_that_are_odd(tmp_path, picture, classes, kind, message):
    write(tmp_path, picture, "train", *classes)
    data = read(tmp_path)
    assert message in messages(data)[kind]
    assert [finding.action for finding in data.findings] == ["kept"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (("cat", "dog"), None),
        (("dog", "cat"), "in another order"),
        (("cat",), "only 'train' has 'dog'"),
        (("cat", "dog", "cow"), "only 'val' has 'cow'"),
        (("dog", "cow"), "only 'train' has 'cat'; only 'val' has 'cow'"),
    ],
)
def test_splits_that_disagree(tmp_path, picture, other, message):
    write(tmp_path, picture, "train", "cat", "dog")
    write(tmp_path, picture, "val", *other)
    found = messages(read(tmp_path, "train")).get("splits with other classes")
    assert (found is None) if message is None else message in found


def test_a_class_with_an_escape_in_its_name_is_the_same_in_every_split(tmp_path, picture):
    for split in ("train", "val"):
        write(tmp_path, picture, split, "a\x07b")
    assert read(tmp_path, "train").findings == []


def test_a_split_that_cannot_be_read_is_said(tmp_path, picture):
    write(tmp_path, picture, "train", "cat")
    (tmp_path / "val.json").write_text('{"images": [')
    assert "val.json" in messages(read(tmp_path, "train"))["split that cannot be read"]


def test_yolo_names_that_yaml_reads_as_something_else(tmp_path, picture):
    picture(tmp_path / "images" / "a.jpg")
    for names, message in (("[yes, no]", "in quotes"), ("{0: a, x: b}", "without gaps"),
                           ("[[a], b]", "in quotes")):  # fmt: skip
        (tmp_path / "data.yaml").write_text(f"train: images\nnames: {names}\n")
        with pytest.raises(ValueError, match=message):
            read(tmp_path)


@pytest.mark.parametrize("number", ["2000000000", "-3", "0", "nan", "1e400"])
def test_the_number_of_classes_is_believed_within_reason(tmp_path, picture, number):
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "data.yaml").write_text(f"train: images\nnc: {number}\n")
    with pytest.raises(ValueError, match=r"data\.yaml"):
        read(tmp_path)


def test_npz_splits_are_compared_too(tmp_path):
    table = {key: np.zeros(0) for key in ("image_id", "x", "y", "w", "h", "category_id")}
    table["images"] = np.array([[1, 40, 30]])
    for name, classes in (("train", ["a"]), ("val", ["a", "b"])):
        np.savez(tmp_path / f"{name}.npz", category_names=np.array(classes), **table)
    assert "only 'val' has 'b'" in messages(read(tmp_path, "train"))["splits with other classes"]
