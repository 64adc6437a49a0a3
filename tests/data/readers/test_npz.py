import numpy as np
import pytest

from kedge.data import boxes_npz, read, splits_of


def table(**columns):
    count = 2
    return {
        "image_id": np.full(count, 5),
        "x": np.array([1.0, 2.0]),
        "y": np.array([3.0, 4.0]),
        "w": np.array([5.0, 6.0]),
        "h": np.array([7.0, 8.0]),
        "category_id": np.array([1, 0]),
        "category_names": np.array(["a", "b"]),
        "images": np.array([[5, 40, 30], [6, 20, 10]]),
    } | columns


def test_boxes_become_records_without_files(tmp_path):
    np.savez(tmp_path / "boxes.npz", **table())
    data = boxes_npz(tmp_path / "boxes.npz")
    first, second = data.records
    assert first.boxes.tolist() == [[1, 3, 6, 10], [2, 4, 8, 12]]
    assert first.labels.tolist() == [1, 0]
    assert (first.file, first.width, first.height, first.image_id) == (None, 40, 30, 5)
    assert len(second.boxes) == 0
    assert data.classes == ("a", "b")


def test_a_folder_of_them_has_splits(tmp_path):
    np.savez(tmp_path / "one.npz", **table())
    np.savez(tmp_path / "two.npz", **table())
    data = read(tmp_path, "two")
    assert (data.split, data.splits) == ("two", ("one", "two"))
    with pytest.raises(ValueError, match="one, two"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"w": np.array([5.0, np.inf])}, "NaN or infinite"),
        ({"w": np.array([5.0, 100.0])}, "outside the image"),
        ({"h": np.array([7.0, 0.0])}, "zero area"),
        ({"image_id": np.array([5, 9])}, "unknown image"),
        ({"category_id": np.array([1, 2])}, "unknown category"),
    ],
)
def test_a_bad_row_is_named(tmp_path, columns, kind):
    np.savez(tmp_path / "boxes.npz", **table(**columns))
    with pytest.raises(ValueError, match=f"row 1 of .*{kind}"):
        boxes_npz(tmp_path / "boxes.npz")
    assert boxes_npz(tmp_path / "boxes.npz", "drop").num_boxes == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table(w=np.array([True, True])), "w holds bool: expected numbers"),
        ({"x": np.zeros(3)}, "lacks image_id"),
        (table(x=np.zeros(3)), "different length"),
        (table(images=np.zeros((2, 2))), r"\(n, 3\)"),
        (table(x=np.array([1, "a"], object)), "cannot be read"),  # pickles are never loaded
    ],
)
def test_a_file_of_something_else_says_what_it_lacks(tmp_path, content, message):
    np.savez(tmp_path / "boxes.npz", **content)
    with pytest.raises(ValueError, match=message):
        boxes_npz(tmp_path / "boxes.npz")


def test_an_npz_of_something_else_does_not_say_what_a_folder_holds(tmp_path):
    found = {"source": [], "image": [], "size": [], "count": [], "boxes": [], "scores": []}
    np.savez(tmp_path / "proposals.npz", **found)  # as kedge proposals writes it
    with pytest.raises(ValueError, match=r"holds no data set .*proposals\.npz"):
        read(tmp_path)
    np.savez(tmp_path / "one.npz", **table())
    assert splits_of(tmp_path) == ("one",)
    columns = {"x1": [1], "y1": [1], "x2": [5], "y2": [5], "image": [0]}
    np.savez(tmp_path / "two.npz", **columns)  # enough to design anchors for
    (tmp_path / "three.npz").write_bytes(b"PK, and no more")  # it may have been one
    assert splits_of(tmp_path) == ("one", "three", "two")
    with pytest.raises(ValueError, match=r"three\.npz: cannot be read as \.npz"):
        read(tmp_path, "three")


def test_annotations_with_images_come_before_boxes_without(tmp_path, picture):
    picture(tmp_path / "image_2" / "a.png")
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2" / "a.txt").write_text("Car 0 0 0 1 1 9 9 0 0 0 0 0 0 0\n")
    np.savez(tmp_path / "boxes.npz", **table())
    assert read(tmp_path).format == "KITTI"
