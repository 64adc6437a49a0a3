import os

import pytest

from kedge.data import read

YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"


@pytest.fixture
def yolo(tmp_path, picture):
    """yolo(text, ...): a folder with one training image of 40 x 20 and these label lines."""

    def write(text, yaml=YAML, image="images/train/a.jpg", label="labels/train/a.txt"):
        picture(tmp_path / image, 40, 20)
        (tmp_path / label).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / label).write_text(text)
        (tmp_path / "data.yaml").write_text(yaml)
        return tmp_path

    return write


def test_normalised_centres_become_corners(yolo):
    data = read(yolo("1 0.5 0.5 0.5 0.25\n0 0.25 0.5 0.5 1\n"), "train")
    (record,) = data.records
    assert record.boxes.tolist() == [[10, 7.5, 30, 12.5], [0, 0, 20, 20]]
    assert record.labels.tolist() == [1, 0]
    assert data.classes == ("cat", "dog")
    assert data.splits == ("train", "val")


def test_a_polygon_gives_the_box_around_it(yolo):
    (record,) = read(yolo("0 0.1 0.2 0.5 0.2 0.3 0.9")).records
    assert record.boxes[0].tolist() == pytest.approx([4, 4, 20, 18])


def test_keypoints_are_left_aside(yolo):
    (record,) = read(yolo("0 .5 .5 .5 .5 .1 .1", yaml=YAML + "kpt_shape: [1, 2]\n")).records
    assert record.boxes.tolist() == [[10, 5, 30, 15]]


def test_an_image_without_label_file_is_empty(yolo, picture):
    folder = yolo("0 .5 .5 .5 .5")
    picture(folder / "images" / "train" / "b.jpg")
    assert [len(r.boxes) for r in read(folder).records] == [1, 0]


def test_no_label_file_at_all_is_an_error(yolo):
    folder = yolo("")
    (folder / "labels" / "train" / "a.txt").unlink()
    with pytest.raises(ValueError, match="no label file for any of 1 image "):
        read(folder)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2 .5 .5 .5 .5", "unknown category"),
        ("-1 .5 .5 .5 .5", "unknown category"),
        ("0.5 .5 .5 .5 .5", "unknown category"),
        ("0 .5 .5 .5", "no box"),
        ("0 .5 .5 .5 .5 .9", "no box"),
        ("cat .5 .5 .5 .5", "no box"),
        ("nan .5 .5 .5 .5", "no box"),
        ("0 nan .5 .5 .5", "NaN or infinite"),
        ("0 .5 .5 0 .5", "zero area"),
        ("0 .5 .5 -.5 .5", "flipped"),
        ("0 20 10 8 8", "outside the image"),  # pixels, not shares
    ],
)
def test_a_bad_line_is_named(yolo, line, kind):
    folder = yolo(f"0 .5 .5 .5 .5\n{line}\n")
    with pytest.raises(ValueError, match=rf"line 2 of a\.txt of .*a\.jpg.*: {kind}"):
        read(folder)
    assert read(folder, on_bad_box="drop").num_boxes == 1


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [a]\n", "names no split"),
        ("train: images/train\n", "needs names"),
        ("train: images/train\nnames: {0: a, 2: b}\n", "without gaps"),
        ("train: images/train\nnames: [a]\nnc: 2\n", "nc is 2"),
        ("train: images/nope\nnames: [a]\n", "does not exist"),
        ("just words", "must hold names"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_bad_yaml_says_what_it_lacks(yolo, yaml, message):
    folder = yolo("0 .5 .5 .5 .5", yaml=yaml)
    with pytest.raises(ValueError, match=message) as error:
        read(folder)
    assert "data.yaml" in str(error.value)


def test_names_by_number_and_paths_that_exports_write(yolo):
    folder = yolo(
        "1 .5 .5 .5 .5",
        yaml="train: ../train/images\nval: ../valid/images\nnames: {0: a, 1: b}\n",
        image="train/images/a.jpg",
        label="train/labels/a.txt",
    )
    data = read(folder)
    assert data.classes == ("a", "b")
    assert data.num_boxes == 1


def test_a_list_of_images(yolo):
    folder = yolo("0 .5 .5 .5 .5", yaml="train: train.txt\nnames: [a]\n")
    (folder / "train.txt").write_text("./images/train/a.jpg\n\n")
    assert read(folder).num_boxes == 1
    (folder / "train.txt").write_text("images/train/a.jpg\nimages/gone.jpg\n")
    with pytest.raises(ValueError, match=r"line 2 of train\.txt of 'images/gone\.jpg': missing"):
        read(folder)


@pytest.mark.parametrize("place", ["list", "yaml", "path", "image link", "label link"])
def test_nothing_leads_out_of_the_folder(yolo, picture, tmp_path, place):
    folder = yolo("0 .5 .5 .5 .5", image="set/images/train/a.jpg", label="set/labels/train/a.txt")
    folder = folder / "set"
    outside = picture(tmp_path / "out" / "images" / "x.jpg")
    yaml = {"yaml": "train: ../out/images\n", "path": "path: ../out\ntrain: images\n"}
    yaml["list"] = "train: train.txt\n"
    (folder / "data.yaml").write_text(yaml.get(place, "train: images/train\n") + "names: [a, b]\n")
    (folder / "train.txt").write_text(str(outside))
    if place == "image link":
        os.symlink(outside, folder / "images" / "train" / "b.jpg")
    if place == "label link":
        (folder / "labels" / "train" / "a.txt").rename(tmp_path / "out" / "a.txt")
        os.symlink(tmp_path / "out" / "a.txt", folder / "labels" / "train" / "a.txt")
    with pytest.raises(ValueError, match="data folder"):
        read(folder, on_bad_box="drop")


def test_a_truncated_image_is_named(yolo):
    folder = yolo("0 .5 .5 .5 .5")
    image = folder / "images" / "train" / "a.jpg"
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"images/train/a\.jpg': unreadable image"):
        read(folder)
    with pytest.raises(ValueError, match="nothing is left"):
        read(folder, on_bad_box="drop")
