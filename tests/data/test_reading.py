"""Which format a path holds; and the real data sets."""

import numpy as np
import pytest
from fuzz.sets import SETS

from kedge.data import DetectionDataset, eval_transforms, read


def test_a_folder_of_nothing_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"notes\.txt") as error:
        read(tmp_path)
    for word in ("COCO", "Pascal VOC", "YOLO", "npz", "toy"):
        assert word in str(error.value)


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "nothing")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.doc").write_text("1,2")
    with pytest.raises(ValueError, match="Looked for"):
        read(tmp_path / "a.doc")


def test_a_split_of_labelme_may_be_called_validation(tmp_path):
    for name in ("train", "validation"):
        SETS["labelme"](tmp_path / name)
    assert read(tmp_path, "val").splits == ("train", "val")


def test_an_unknown_split_lists_the_known_ones(coco):
    with pytest.raises(ValueError, match="no split 'test': choose one of: train"):
        read(coco().parent, "test")


@pytest.mark.parametrize(
    ("name", "split", "images", "boxes", "classes"),
    [
        ("bccd", "train", 205, 2804, 3),
        ("bccd", "val", 87, 1137, 3),
        ("bccd", "test", 72, 945, 3),
        ("aerial_cars", "train", 549, 3662, 4),
        ("aerial_cars", "val", 197, 1675, 4),
        ("coco_permissive", "train", 618, 5655, 80),
        ("coco_permissive", "val", 159, 1594, 80),
    ],
)
def test_real_sets_read_without_a_complaint(shared_data, name, split, images, boxes, classes):
    """Counts from the sets' own stats.json."""
    data = read(shared_data / name, split)
    assert (len(data), data.num_boxes, len(data.classes)) == (images, boxes, classes)
    assert data.findings == []


def test_the_two_splits_of_coco2017_do_not_have_one_list_of_classes(shared_data):
    data = read(shared_data / "coco2017_boxes", "val2017")
    assert (len(data), data.num_boxes, len(data.classes)) == (5000, 36781, 80)
    (finding,) = data.findings  # a class of a single box
    assert finding.kind == "splits with other classes"
    assert "only 'train2017' has 'animal'" in finding.message


@pytest.mark.parametrize(
    ("name", "written", "dropped", "clipped"),
    [
        ("bccd/annotations_raw.json", 4888, {"zero area": 2}, {}),
        ("taco_boxes/official.npz", 4784, {}, {"outside the image": 1}),
        (
            "taco_boxes/unofficial.npz",
            8334,
            {"NaN or infinite": 15, "outside the image": 8},
            {"outside the image": 9},
        ),
    ],
)
def test_the_defects_of_real_sets_are_found(shared_data, name, written, dropped, clipped):
    file = shared_data / name
    with pytest.raises(
        ValueError, match=f"{sum(dropped.values()) + sum(clipped.values())} problem"
    ):
        read(file)
    clip, drop = read(file, on_bad_box="clip"), read(file, on_bad_box="drop")
    assert clip.num_boxes == written - sum(dropped.values())
    assert drop.num_boxes == clip.num_boxes - sum(clipped.values())
    for action, kinds in (("dropped", dropped), ("clipped", clipped)):
        found = [f.kind for f in clip.findings if f.action == action]
        assert {kind: found.count(kind) for kind in set(found)} == kinds


def test_a_real_image_becomes_an_item(shared_data):
    data = read(shared_data / "bccd", "val")
    image, target = DetectionDataset(data, eval_transforms((256, 320)))[0]
    assert image.shape == (3, 256, 320)
    # 640 x 480 halves to 320 x 240, with 8 rows above and below
    expected = data.records[0].boxes / 2 + np.array([0, 8, 0, 8])
    assert np.allclose(target["boxes"].numpy(), expected)
