"""Every check of a data set on a defect planted on purpose, with numbers a reader can count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from kedge.data import Finding, boxes_npz, read, toy
from kedge.doctor import DATA, Context, of_detector
from kedge.doctor.data_checks import (
    bad_boxes,
    class_balance,
    crowding,
    duplicates,
    empty,
    files,
    leaks,
    sizes,
    tiny,
)
from kedge.doctor.objects import Objects

GOOD = [10, 10, 60, 50]


def test_a_sound_data_set_has_notes_only(toys):
    found = [f for check in DATA for f in check(Context(data=toys, input_size=(256, 320)))]
    assert {f.severity for f in found} == {"note"}
    assert {f.check for f in found} == {"empty_images", "object_sizes"}


def test_no_image_and_no_object(make_data, one):
    found = one(empty.check, Context(data=make_data([])), "empty_data")
    assert found.severity == "error"
    assert "no images" in found.symptom
    assert "no objects" in one(empty.check, Context(data=make_data([[], []])), "empty_data").symptom
    for check in DATA:  # the others hold their peace
        if check is not empty.check:
            assert check(Context(data=make_data([]))) == []
            assert check(Context(data=make_data([[], []]))) == []


def test_images_without_objects(make_data, one):
    few = one(empty.check, Context(data=make_data([[GOOD]] * 3 + [[]])), "empty_images")
    assert (few.severity, few.evidence["share"]) == ("note", 0.25)
    many = one(empty.check, Context(data=make_data([[GOOD]] + [[]] * 3)), "empty_images")
    assert many.severity == "warning"


def test_bad_boxes_are_counted_and_the_repair_is_computed(coco_folder, one):
    rows = [[float("nan"), 1, 2, 3], [10, 10, 0, 5], [50, 60, -20, -30], [280, 10, 60, 20]]
    rows += [[500, 500, 10, 10], [5, 5, 20, 20]]
    folder = coco_folder([rows])
    text = (folder / "train.json").read_text().replace("NaN", "null")
    (folder / "train.json").write_text(text)
    context = Context(data=read(folder, "train", "drop"))
    kinds = {f.check: f for f in bad_boxes.check(context)}
    assert set(kinds) == {"nan_boxes", "zero_area_boxes", "flipped_boxes", "boxes_outside"}
    assert kinds["nan_boxes"].evidence["boxes"] == 1
    assert kinds["flipped_boxes"].predicted == {
        "text": "1 repaired",
        "repaired": 1,
        "dropped": 0,
    }
    outside = kinds["boxes_outside"]
    assert (outside.severity, outside.evidence["boxes"]) == ("warning", 2)
    # of the one that hangs over a third would be left, of the other nothing: no case for clipping
    assert (outside.predicted["repaired"], outside.predicted["dropped"]) == (0, 2)
    assert outside.cure.endswith("--on-bad-box drop")
    assert kinds["flipped_boxes"].cure.endswith("--on-bad-box clip")
    clipped = read(folder, "train", "clip")
    assert clipped.num_boxes == 1 + 1 + 1  # what the predictions said: sound, flipped, overhanging


def test_missing_broken_and_resized_images(coco_folder, one):
    from PIL import Image

    folder = coco_folder([[[1, 2, 30, 40]]] * 4)
    (folder / "images" / "000.png").unlink()
    broken = folder / "images" / "001.png"
    broken.write_bytes(broken.read_bytes()[:40])
    Image.new("RGB", (150, 100)).save(folder / "images" / "002.png")
    context = Context(data=read(folder, "train", "drop"))
    for name, image in (
        ("missing_images", "000.png"),
        ("broken_images", "001.png"),
        ("wrong_image_size", "002.png"),
    ):
        found = one(files.check, context, name)
        assert found.severity == "error"
        assert [row["image"] for row in found.evidence["worst_images"]] == [image]
        assert found.predicted["images_left"] == 1


def test_records_that_contradict_themselves(make_data, one):
    bad = Finding(
        kind="unknown category", image="3.jpg", record="annotation 7", message="?", action="dropped"
    )
    found = one(files.check, Context(data=make_data([[GOOD]], findings=[bad])), "bad_records")
    assert "unknown category" in found.symptom


def test_duplicates_by_hand(make_data):
    twice = [GOOD, GOOD, [11, 10, 60, 50], [200, 100, 250, 150]]
    labels = [[0, 0, 0, 1], [0, 1]]
    data = make_data([twice, [GOOD, GOOD]], labels)
    kinds = {f.check: f for f in duplicates.check(Context(data=data))}
    assert set(kinds) == {"duplicate_boxes", "near_duplicate_boxes", "conflicting_boxes"}
    assert kinds["duplicate_boxes"].evidence["boxes"] == 1
    assert kinds["near_duplicate_boxes"].evidence["boxes"] == 1
    conflict = kinds["conflicting_boxes"]
    assert conflict.evidence["classes"] == [{"classes": ["cat", "dog"], "pairs": 1}]
    assert conflict.evidence["worst_images"] == [{"image": "1.jpg", "boxes": 1}]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.5, 0.7, 0.8, 0.95]))
def test_near_pairs_against_all_pairs(seed, threshold):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 12, (40, 2))
    box = np.concatenate([corner, corner + rng.integers(1, 9, (40, 2))], axis=1).astype(np.float32)
    image = np.sort(rng.integers(0, 4, 40))
    objects = Objects(
        xyxy=box,
        label=np.zeros(40, np.int64),
        crowd=np.zeros(40, bool),
        image=image,
        size=np.tile([30.0, 30.0], (4, 1)),
    )
    first, second, _ = duplicates.near_pairs(objects, threshold)
    import torch

    iou = box_iou(torch.from_numpy(box).double(), torch.from_numpy(box).double()).numpy()
    dense = (iou >= threshold) & (image[:, None] == image)
    expected = {(i, j) for i, j in zip(*np.nonzero(np.triu(dense, 1)))}
    assert set(zip(first.tolist(), second.tolist())) == expected


def test_the_same_file_twice(coco_folder, one):
    folder = coco_folder([[[1, 2, 30, 40]]] * 3)  # three images of the same black pixels
    found = one(duplicates.check, Context(data=read(folder, "train", "drop")), "duplicate_images")
    assert found.evidence["images"] == 2
    assert found.predicted["images_left"] == 1


def test_the_same_image_in_two_splits(tmp_path, one):
    """Six training images, of which one file is copied into val under another name."""
    import shutil

    folder = toy.write(tmp_path / "mini", train=6, val=3, size=(64, 96))
    assert leaks.check(Context(data=read(folder, "train", "drop"))) == []
    train, val = read(folder, "train"), read(folder, "val")
    shutil.copyfile(train.records[4].file, val.records[1].file)
    found = one(leaks.check, Context(data=read(folder, "train", "drop")), "images_in_two_splits")
    assert found.severity == "warning"
    assert found.evidence["images"] == 1
    assert found.evidence["pairs"] == [[train.records[4].name, val.records[1].name]]
    assert found.evidence["splits"] == ["train", "val"]
    assert found.predicted["unseen_images"] == 2
    back = one(leaks.check, Context(data=read(folder, "val", "drop")), "images_in_two_splits")
    assert back.evidence["splits"] == ["val", "train"]
    assert back.evidence["share_of_other_split"] == pytest.approx(1 / 6)


def test_equal_names_or_sizes_alone_are_no_leak(tmp_path, make_data):
    from kedge.data import Record

    def record(name, content):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        none = np.zeros(0)
        return Record(
            file=tmp_path / name, width=1, height=1, boxes=none.reshape(0, 4), labels=none,
            crowd=none, image_id=0, name="0.jpg",
        )  # fmt: skip

    one, two = [record("a/0.jpg", b"abc")], [record("b/0.jpg", b"abd"), record("b/1.jpg", b"abc")]
    assert leaks.same_files(one, two) == [(0, 1)]
    assert leaks.same_files(one, two[:1]) == []
    bare = make_data([[GOOD]]).records  # boxes without images
    assert leaks.same_files(bare, bare) == []


def test_class_imbalance_by_hand(make_data, one):
    """99 images with a cat, one with a dog and a cat; nobody has a fish."""
    images = [[GOOD]] * 99 + [[GOOD, [100, 100, 150, 150]]]
    labels = [[0]] * 99 + [[0, 1]]
    data = make_data(images, labels, classes=("cat", "dog", "fish"))
    context = Context(data=data)
    assert one(class_balance.check, context, "absent_classes").evidence["classes"] == ["fish"]
    found = one(class_balance.check, context, "class_imbalance")
    assert found.severity == "warning"  # a class below ten objects
    assert found.evidence["ratio"] == 100
    # t = mean(1, .01) = .505; the dog's image weighs sqrt(50.5)
    weight = np.sqrt(50.5)
    assert found.predicted["share_of_images_before"] == pytest.approx(0.01)
    assert found.predicted["share_of_images_after"] == pytest.approx(weight / (99 + weight))


def test_size_bands_and_ratios(make_data, one):
    boxes = [[0, 0, 20, 20], [0, 0, 40, 60], [0, 0, 150, 100], [0, 0, 10, 50]]
    found = one(
        sizes.check, Context(data=make_data([boxes]), input_size=(400, 600)), "object_sizes"
    )
    assert found.evidence["annotated"] == {"small": 0.5, "medium": 0.25, "large": 0.25}
    assert found.evidence["as_seen"] == {"small": 0, "medium": 0.5, "large": 0.5}
    assert found.evidence["beyond_3_to_1"] == 0.25
    assert found.evidence["h_over_w"] == {"1/2-1": 0.25, "1-2": 0.5, "4-8": 0.25}


def test_below_one_pixel(make_data, one):
    """An image of 200 x 300 in an input of 64 x 64 shrinks by 300 / 64."""
    data = make_data([[GOOD] * 8 + [[0, 0, 4, 50], [0, 0, 3, 3]]])
    found = one(tiny.check, Context(data=data, input_size=(64, 64)), "below_one_pixel")
    assert found.severity == "error"
    assert found.evidence["below_1_px"] == 0.2
    assert found.predicted["below_1_px_after"] == 0
    larger = tuple(found.predicted["image_size"])
    assert all(side % 32 == 0 for side in larger)
    assert one(tiny.check, Context(data=data, input_size=larger), "below_one_pixel") is None


def test_crowded_cells(make_data, one):
    """Twelve objects centred in one cell of stride 8, where nine anchors stand."""
    close = [[100 + i / 10, 100, 103 + i / 10, 104] for i in range(12)]
    apart = [[20 * i, 20, 20 * i + 9, 29] for i in range(12)]
    context = Context(data=make_data([close, apart]), input_size=(200, 300))
    found = one(crowding.check, context, "crowded_cells")
    assert found.severity == "warning"
    assert found.evidence["objects_beyond_the_anchors"] == pytest.approx(3 / 24)
    assert found.evidence["by_stride"]["8"]["most_in_a_cell"] == 12
    assert one(crowding.check, Context(data=make_data([apart])), "crowded_cells") is None


def test_crowded_cells_are_a_warning_where_the_rule_leaves_objects_without(make_data, one):
    """Two large objects with one centre, and two small ones: LADA's shrunken box holds points of
    coarse levels for the first two, and of the others for none."""
    large, small = [[20, 20, 180, 180], [22, 22, 178, 178]], [[66, 66, 70, 70], [66, 66, 70, 71]]
    for boxes, severity, cause in (
        (large, "note", "The rule finds an anchor for every one of them all the same."),
        (
            small,
            "warning",
            "Of these 2 objects the rule leaves 2 without an anchor: see no_positive.",
        ),
    ):
        context = Context(data=make_data([boxes]), setup=of_detector("lada", (224, 320)))
        found = one(crowding.check, context, "crowded_cells")
        assert (found.severity, found.cause) == (severity, cause)


def test_taco_with_its_infinite_boxes(shared_data):
    path = shared_data / "taco_boxes" / "unofficial.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is missing")
    context = Context(data=boxes_npz(path, "drop"))
    kinds = {f.check: f for check in DATA for f in check(context)}
    assert kinds["nan_boxes"].evidence["boxes"] == 15
    assert kinds["boxes_outside"].evidence["boxes"] == 17
    assert "box_format" not in kinds


def test_bccd_has_the_defects_that_are_known_of_it(shared_data):
    path = shared_data / "bccd" / "annotations_raw.json"
    if not path.exists():
        pytest.skip(f"{path.name} is missing")
    context = Context(data=read(path, None, "drop"))
    kinds = {f.check: f for check in DATA for f in check(context)}
    assert kinds["zero_area_boxes"].evidence["boxes"] == 2
    assert kinds["near_duplicate_boxes"].evidence["boxes"] == 8  # defects.json
