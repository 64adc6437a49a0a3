"""Every defect is found, named, and repaired or dropped as asked. Through the COCO reader."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kedge.data import read
from kedge.data.checks import check
from kedge.data.problems import Problems
from kedge.data.raw import RawBoxes, RawImage

# defect: bbox (x, y, w, h) in an image of 40 x 30 -> what clip makes of it (None: dropped)
DEFECTS = {
    "flipped": ([30, 20, -10, -5], [20, 15, 30, 20]),
    "zero area": ([5, 5, 0, 4], None),
    "NaN or infinite": ([5, 5, float("nan"), 4], None),
    "outside the image": ([-5, 10, 20, 40], [0, 10, 15, 30]),
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_bad_box_is_an_error_that_names_file_image_and_annotation(coco, kind):
    file = coco([1, 1, 5, 5], DEFECTS[kind][0])
    with pytest.raises(ValueError, match=kind) as error:
        read(file)
    for part in (str(file), "a.jpg", "annotation 101", "on_bad_box"):
        assert part in str(error.value)
    assert "annotation 100" not in str(error.value)


@pytest.mark.parametrize("kind", DEFECTS)
def test_drop_drops_the_box_and_says_so(coco, kind):
    data = read(coco([1, 1, 5, 5], DEFECTS[kind][0]), on_bad_box="drop")
    assert data.records[0].boxes.tolist() == [[1, 1, 6, 6]]
    (finding,) = data.findings
    assert (finding.kind, finding.action, finding.image) == (kind, "dropped", "a.jpg")
    assert f"dropped: 1 x {kind}" in data.summary()


@pytest.mark.parametrize("kind", DEFECTS)
def test_clip_repairs_what_can_be_repaired(coco, kind):
    box, repaired = DEFECTS[kind]
    data = read(coco(box, [1, 1, 5, 5]), on_bad_box="clip")
    expected = [[1, 1, 6, 6]] if repaired is None else [repaired, [1, 1, 6, 6]]
    assert data.records[0].boxes.tolist() == expected
    assert data.findings[0].action == ("dropped" if repaired is None else "clipped")


def test_a_box_wholly_outside_is_dropped_by_clip(coco):
    data = read(coco([50, 5, 10, 10]), on_bad_box="clip")
    assert len(data.records[0].boxes) == 0
    assert data.findings[0].action == "dropped"


def test_up_to_one_pixel_of_overshoot_is_cut_off_silently(coco):
    data = read(coco([-1, 0, 41.9, 31]))
    assert data.records[0].boxes.tolist() == [[0, 0, 40, 30]]
    assert data.findings == []
    with pytest.raises(ValueError, match="outside"):
        read(coco([-1.1, 0, 20, 20]))


def test_a_width_that_float32_cannot_hold_is_no_area(coco):
    with pytest.raises(ValueError, match="zero area"):
        read(coco([20, 5, 1e-7, 4]))


def test_the_error_lists_a_few_and_counts_all(coco):
    with pytest.raises(ValueError, match=r"9 problems: 9 zero area") as error:
        read(coco(*[[1, 1, 0, 0]] * 9))
    assert str(error.value).count("annotation 10") == 5
    assert "4 more" in str(error.value)


def test_an_unknown_mode_is_refused(coco):
    with pytest.raises(ValueError, match="on_bad_box"):
        read(coco(), on_bad_box="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["error", "drop", "clip"])
@pytest.mark.parametrize(
    "name", ["../../secret.jpg", "/etc/hostname", "link.jpg", "away/x.jpg", ""]
)
def test_no_path_leaves_the_folder_whatever_the_mode(coco, picture, tmp_path, name, mode):
    picture(tmp_path / "secret.jpg")
    picture(tmp_path / "elsewhere" / "x.jpg")
    file = coco(images=[{"id": 7, "file_name": name, "width": 40, "height": 30}])
    os.symlink(tmp_path / "secret.jpg", file.parent / "images" / "link.jpg")
    os.symlink(tmp_path / "elsewhere", file.parent / "images" / "away")
    with pytest.raises(ValueError, match="path outside the folder"):
        read(file, on_bad_box=mode)


def test_a_link_within_the_folder_is_fine(coco):
    file = coco(images=[{"id": 7, "file_name": "link.jpg", "width": 40, "height": 30}])
    os.symlink(file.parent / "images" / "a.jpg", file.parent / "images" / "link.jpg")
    assert len(read(file).records) == 1


@pytest.mark.parametrize("damage", ["missing", "truncated", "no image", "empty"])
def test_missing_and_broken_images(coco, damage):
    file = coco([1, 1, 5, 5])
    image = file.parent / "images" / "a.jpg"
    whole = image.read_bytes()
    if damage == "missing":
        image.unlink()
    else:
        image.write_bytes(
            {"truncated": whole[: len(whole) // 2], "no image": b"x" * 99}.get(damage, b"")
        )
    with pytest.raises(ValueError, match="missing image" if damage == "missing" else "unreadable"):
        read(file)
    with pytest.raises(ValueError, match="nothing is left of 1 image ") as error:
        read(file, on_bad_box="drop")
    assert "a.jpg" in str(error.value)


def test_a_truncated_png_is_found(coco, picture):
    file = coco(images=[{"id": 7, "file_name": "b.png"}])
    image = picture(file.parent / "images" / "b.png")
    assert read(file).records[0].width == 40  # the size was not said, the file knows it
    image.write_bytes(image.read_bytes()[:-40])
    with pytest.raises(ValueError, match="unreadable or truncated"):
        read(file)


def test_a_wrong_size_is_an_error_dropped_or_replaced_by_the_true_one(coco):
    file = coco(
        [10, 10, 60, 10], images=[{"id": 7, "file_name": "a.jpg", "width": 80, "height": 60}]
    )
    with pytest.raises(ValueError, match="80 x 60, but the file is 40 x 30"):
        read(file)
    with pytest.raises(ValueError, match="nothing is left of 1 image "):
        read(file, on_bad_box="drop")
    data = read(file, on_bad_box="clip")
    assert (data.records[0].width, data.records[0].height) == (40, 30)
    assert data.records[0].boxes.tolist() == [[10, 10, 40, 20]]


@pytest.mark.parametrize(("said", "upright"), [((40, 30), False), ((30, 40), True)])
def test_exif_orientation_follows_the_annotated_size(coco, picture, said, upright):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    file = coco(images=[{"id": 7, "file_name": "e.jpg", "width": said[0], "height": said[1]}])
    picture(file.parent / "images" / "e.jpg", exif=exif)
    data = read(file)
    assert data.records[0].upright is upright
    assert [f.action for f in data.findings] == ([] if upright else ["kept"])


def test_duplicate_ids_are_named(coco):
    image = {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}
    box = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5]}
    file = coco(images=[image, image], annotations=[box, box])
    with pytest.raises(ValueError, match="duplicate image id") as error:
        read(file)
    assert "duplicate annotation id" in str(error.value)
    data = read(file, on_bad_box="clip")
    assert (len(data), data.num_boxes, len(data.findings)) == (1, 1, 2)


def test_boxes_of_an_id_that_two_files_share_are_put_on_neither(coco, picture):
    ids = ((7, "a.jpg"), (7, "b.jpg"), (8, "c.jpg"))
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in ids]
    file = coco([1, 1, 5, 5], images=images)
    for name in ("b.jpg", "c.jpg"):
        picture(file.parent / "images" / name)
    data = read(file, on_bad_box="drop")
    assert [(record.name, len(record.boxes)) for record in data.records] == [("c.jpg", 0)]
    assert [f.kind for f in data.findings].count("duplicate image id") == 2


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"category_id": 4}, "unknown category"),
        ({"image_id": 8}, "unknown image"),
        ({"bbox": [1, 2, 3]}, "no box"),
        ({"bbox": None}, "no box"),
        ({"bbox": [1, 2, None, 4]}, "NaN or infinite"),
    ],
)
def test_annotations_that_cannot_be_understood(coco, change, kind):
    file = coco(
        annotations=[{"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5]} | change]
    )
    with pytest.raises(ValueError, match=f"annotation 5 of .*{kind}"):
        read(file)
    assert read(file, on_bad_box="drop").num_boxes == 0


def test_the_source_file_is_never_changed(coco):
    file = coco([30, 20, -10, -5])
    before = file.read_bytes()
    read(file, on_bad_box="clip")
    assert file.read_bytes() == before


corner = st.floats(-50, 100, width=32) | st.sampled_from([float("nan"), float("inf"), 0.0, 40.0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(corner, corner, corner, corner), max_size=6),
    st.sampled_from(["drop", "clip"]),
)
def test_what_is_kept_is_always_a_sound_box(boxes, mode):
    raw = RawBoxes(
        image=np.zeros(len(boxes), np.int64),
        xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        label=np.arange(len(boxes)),
        crowd=np.zeros(len(boxes), bool),
        where=str,
    )
    problems = Problems("here", mode)
    image = RawImage(name="a", file=None, image_id=0, width=40, height=30)
    (record,) = check([image], raw, problems)
    kept = record.boxes
    assert np.isfinite(kept).all()
    assert (kept[:, 2:] > kept[:, :2]).all()
    assert (kept >= 0).all()
    assert (kept <= [40, 30, 40, 30]).all()
    dropped = {f.record for f in problems.findings if f.action == "dropped"}
    assert dropped.isdisjoint(map(str, record.labels))
    assert len(dropped) + len(kept) == len(boxes)  # every box is kept, or said to be dropped
    if mode == "drop":  # kept as written, but for the tolerance
        assert (np.abs(raw.xyxy[record.labels] - kept) <= 1.0).all()


def test_json_with_python_nan_is_read_for_its_boxes(coco):
    file = coco([1, 1, 5, 5], [1, 1, float("inf"), 5])
    assert "Infinity" in file.read_text()
    assert read(file, on_bad_box="drop").num_boxes == 1
    assert json.loads(file.read_text())["images"]


def test_the_folder_of_the_data_may_itself_be_a_link(coco, tmp_path):
    folder = coco([1, 1, 5, 5]).parent
    os.symlink(folder, tmp_path / "shortcut")
    assert read(Path(tmp_path / "shortcut")).num_boxes == 1
