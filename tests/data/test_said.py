"""Whatever is seen and not used is counted and said; where nothing is left, that is an error."""

import json
import re

import numpy as np
import pytest
from fuzz.sets import SETS

from kedge.cli import run
from kedge.data import read, said
from kedge.data.turned import around


def kinds(data):
    return {finding.kind: (finding.action, finding.count) for finding in data.findings}


def test_the_lines_name_kind_count_first_and_reason(coco):
    data = read(coco([1, 1, 0, 0], [1, 1, 5, 0], [1, 1, 5, 5]), on_bad_box="drop")
    (line,) = said(data)
    assert line.startswith("dropped: 2 x zero area: annotation 100 of 'a.jpg': box (1, 1, 1, 1)")
    assert f"  {line}" in data.summary()
    assert said(read(coco([1, 1, 5, 5]))) == []


def test_ignored_annotations_become_crowds(coco):
    rows = [
        {"id": i, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5], "ignore": ignore}
        for i, ignore in enumerate((0, 1, True, None, "1"))
    ]
    data = read(coco(annotations=rows))
    assert data.records[0].crowd.tolist() == [False, True, True, False, True]
    assert kinds(data) == {"ignored annotation": ("kept", 3)}


def test_where_every_box_is_a_crowd_that_is_the_reason(coco):
    row = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 1}
    assert kinds(read(coco(annotations=[row]))) == {"every box is a crowd region": ("kept", 1)}


def test_a_turned_box_is_read_as_the_upright_one_around_it_and_that_is_said(coco):
    """16 x 4 turned by 90 degrees about (12, 12) is 4 x 16; turned by 45 it is 20 / sqrt(2) each
    way; about (12, 3) it would reach beyond the image, and is cut off."""
    turned = [{"rotation": 90.0}, {"rotation": -45.0}, {"rotation": 0.0}, {"rotation": "90"}]
    corners = [[4, 10], [4, 10], [4, 10], [4, 1]]
    rows = [
        {"id": i, "image_id": 7, "category_id": 3, "bbox": [*xy, 16, 4], "attributes": attributes}
        for i, (attributes, xy) in enumerate(zip(turned, corners, strict=True))
    ]
    data = read(coco(annotations=rows))
    assert kinds(data) == {"rotation": ("kept", 3)}
    half = 10 / 2**0.5
    expected = [
        [10, 4, 14, 20],
        [12 - half, 12 - half, 12 + half, 12 + half],
        [4, 10, 20, 14],
        [10, 0, 14, 11],
    ]
    np.testing.assert_allclose(data.records[0].boxes, expected, atol=1e-4)


def test_what_reaches_beyond_the_image_by_being_turned_is_cut_off_and_no_more():
    assert around((20, 10, 32, 14), 90, (32, 24)) == pytest.approx((24, 6, 28, 18))
    assert around((0, 10, 16, 14), 90, (32, 24)) == pytest.approx((6, 4, 10, 20))
    assert around((0, 0, 16, 4), 90, (32, 24)) == pytest.approx((6, 0, 10, 10))
    assert around((-9, 10, 20, 14), 90, (0, 0)) == pytest.approx((3.5, 0, 7.5, 26.5))  # no size
    flipped = (9.0, 9.0, 4.0, 12.0)
    assert around(flipped, 30, (32, 24)) == flipped  # refused by the checks, as ever


def test_five_numbers_are_refused(coco):
    with pytest.raises(ValueError, match="rotated box: bbox has five numbers"):
        read(coco([1, 1, 5, 5, 0.7]))


def test_yolo_rows_of_four_corners_are_said_where_they_are_turned(tmp_path):
    SETS["yolo"](tmp_path)
    upright, turned = "0 .1 .1 .5 .1 .5 .4 .1 .4\n", "0 .3 .1 .5 .3 .3 .5 .1 .3\n"
    for file in (tmp_path / "labels" / "train").iterdir():
        file.write_text(upright + turned)
    files = len(list((tmp_path / "labels" / "train").iterdir()))
    assert kinds(read(tmp_path)) == {"rotation": ("kept", files)}
    for file in (tmp_path / "labels" / "train").iterdir():
        file.write_text(turned + "0 .3 .1 .5 .3 .3 .5\n")  # polygons: outlines, not turned boxes
    assert kinds(read(tmp_path)) == {}


TURNED = """<robndbox><cx>12</cx><cy>10</cy><w>8</w><h>4</h><angle>1.5707963</angle></robndbox>"""


def test_voc_objects_that_are_turned_or_nested(tmp_path):
    SETS["voc"](tmp_path)
    page = tmp_path / "Annotations" / "a.xml"
    text = re.sub("<bndbox>.*?</bndbox>", TURNED, page.read_text(), count=1, flags=re.DOTALL)
    deeper = "<part><object><name>cat</name></object></part></annotation>"
    page.write_text(text.replace("</annotation>", deeper))
    data = read(tmp_path)
    assert kinds(data) == {"rotation": ("kept", 1), "nested object": ("unused", 1)}
    (record,) = [record for record in data.records if record.name.startswith("a.")]
    np.testing.assert_allclose(record.boxes[0], [10, 6, 14, 14], atol=1e-4)
    page.write_text(text.replace("<angle>1.5707963</angle>", ""))
    with pytest.raises(ValueError, match="robndbox lacks cx, cy, w, h or angle"):
        read(tmp_path)


def test_label_files_and_images_that_nothing_belongs_to(tmp_path, picture):
    SETS["yolo"](tmp_path / "yolo")
    (tmp_path / "yolo" / "labels" / "train" / "gone.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "yolo" / "labels" / "train" / "classes.txt").write_text("cat\n")
    for ending in ("heic", "dng", "HEIC"):
        (tmp_path / "yolo" / "images" / "train" / f"c.{ending}").write_bytes(b"x")
    data = read(tmp_path / "yolo")
    expected = {"label file without an image": ("unused", 1), "file of another kind": ("unused", 3)}
    assert kinds(data) == expected
    assert "gone.txt" in data.summary()
    SETS["voc_beside"](tmp_path / "voc")
    picture(tmp_path / "voc" / "train" / "c.jpg")
    assert kinds(read(tmp_path / "voc")) == {"image without an annotation": ("unused", 1)}


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "mpo", "avif", "jp2", "webp"])
def test_images_of_any_ending_that_can_be_decoded_are_looked_at(tmp_path, picture, ending):
    SETS["yolo"](tmp_path)
    image = tmp_path / "images" / "train" / f"c.{ending}"
    form = {"jfif": "jpeg", "jpe": "jpeg", "jpg": "jpeg", "jp2": "jpeg2000"}
    picture(image, format=form.get(ending.lower(), ending))
    assert len(read(tmp_path)) == 3


def test_the_boxes_of_an_image_that_is_left_out_are_counted(coco):
    images = [
        {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},
        {"id": 8, "file_name": "gone.jpg", "width": 40, "height": 30},
    ]
    rows = [
        {"id": i, "image_id": image, "category_id": 3, "bbox": [1, 1, 5, 5]}
        for i, image in enumerate((7, 8, 8))
    ]
    data = read(coco(images=images, annotations=rows), on_bad_box="drop")
    expected = {"missing image": ("dropped", 1), "box of an image left out": ("dropped", 2)}
    assert kinds(data) == expected


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('"annotations"', '"annotation"', "'annotations' but 'annotation'"),
        ('"annotations"', '"Annotations"', "'annotations' but 'Annotations'"),
        ('"categories"', '"category"', "'categories' but 'category'"),
        ('"file_name"', '"filename"', "'file_name' but 'filename'"),
        ('"file_name"', '"fileName"', "'file_name' but 'fileName'"),
        ('"file_name"', '"path"', "'file_name' but 'path'"),
    ],
)
@pytest.mark.parametrize("mode", ["error", "drop"])
def test_a_field_that_is_missing_beside_one_of_a_near_name(coco, old, new, names, mode):
    file = coco([1, 1, 5, 5])
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ValueError, match=f"has no {names}"):
        read(file, on_bad_box=mode)


def test_images_without_a_list_of_annotations_are_said(tmp_path, picture):
    picture(tmp_path / "a.jpg")
    whole = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}
    (tmp_path / "test.json").write_text(json.dumps(whole))
    assert kinds(read(tmp_path)) == {"no annotations": ("kept", 1)}


@pytest.mark.parametrize("name", ["coco", "voc", "npz", "labelme"])
def test_a_data_set_without_an_image_is_one_line_in_every_command(tmp_path, capsys, name):
    folder = tmp_path / "set"
    folder.mkdir()
    if name == "coco":
        whole = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        (folder / "train.json").write_text(json.dumps(whole))
    elif name == "voc":
        (folder / "Annotations").mkdir()
        (folder / "JPEGImages").mkdir()
    elif name == "npz":
        none = dict.fromkeys(("image_id", "x", "y", "w", "h", "category_id"), np.zeros(0))
        more = {"images": np.zeros((0, 3)), "category_names": np.array(["a"])}
        np.savez(folder / "train.npz", **none, **more)
    where = ["--data", str(folder)]
    out = str(tmp_path / "out")
    for words in (
        ["data", str(folder)],
        ["design", str(folder)],
        ["doctor", *where],
        ["assign", *where],
        ["report", *where, "--out", out],
        ["train", *where, "--out", out],
        ["demo", *where, "--out", out],
        ["evaluate", *where, "--results", out],
    ):
        assert run(words) == 2, words
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        assert str(folder) in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["drop", "clip"])
def test_a_data_set_of_which_nothing_is_left_is_an_error(coco, mode):
    file = coco([1, 1, 5, 5])
    (file.parent / "images" / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"nothing is left of 1 image .*missing image"):
        read(file, on_bad_box=mode)


def test_where_nothing_is_left_the_boxes_are_counted_too(coco):
    image = {"id": 7, "file_name": "gone.jpg"}
    rows = [{"id": i, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5]} for i in range(3)]
    file = coco(images=[image], annotations=rows)
    with pytest.raises(ValueError, match=r"\(3 box of an image left out, 1 missing image\)"):
        read(file, on_bad_box="drop")


def test_nothing_is_left_where_no_entry_of_an_image_can_be_read(coco, tmp_path):
    file = coco(images=[{"id": None, "file_name": "a.jpg"}], annotations=[])
    with pytest.raises(ValueError, match=r"nothing is left \(1 unreadable record\)"):
        read(file, on_bad_box="drop")
    (tmp_path / "metadata.jsonl").write_text('{"file": "a.jpg"}\n')
    with pytest.raises(ValueError, match=r"nothing is left \(1 unreadable record\)"):
        read(tmp_path / "metadata.jsonl", on_bad_box="drop")


@pytest.mark.parametrize("box", [[1, 1, 5, 5, 0.7], [1, 1, 0, 5], [50, 50, 5, 5]])
def test_where_no_box_is_left_every_command_but_the_doctor_stops(coco, tmp_path, capsys, box):
    file, out = coco(box, box), tmp_path / "out"
    (tmp_path / "results.json").write_text("[]")
    drop = ["--on-bad-box", "drop"]
    for words in (
        ["data", str(file)],
        ["report", "--data", str(file), "--out", str(out)],
        ["train", "--data", str(file), *drop, "--out", str(out)],
        ["evaluate", "--data", str(file), *drop, "--results", str(tmp_path / "results.json")],
    ):
        assert run(words) == 2, words
        said_so, err = capsys.readouterr()
        assert said_so == ""
        assert err.count("\n") == 1, err
        assert f"{file}: nothing is left of its boxes (2 " in err
        assert "; the first: annotation 100 of 'a.jpg': " in err
    assert run(["doctor", "--data", str(file)]) == 0
    assert "annotation 100" in " ".join(capsys.readouterr().out.split())


def test_where_a_box_is_left_the_others_are_counted_and_said(coco, capsys):
    assert run(["data", str(coco([1, 1, 5, 5], [1, 1, 5, 5, 0.7], [1, 1, 5, 5, 0.7]))]) == 0
    out = capsys.readouterr().out
    assert "1 box " in out
    assert "dropped: 2 x rotated box: annotation 101" in out


def test_a_set_is_left_where_one_of_its_splits_is(coco, capsys):
    file = coco([1, 1, 5, 5])
    (file.parent / "val.json").write_text(file.read_text().replace("[1, 1, 5, 5]", "[1, 1, 0, 5]"))
    assert run(["data", str(file.parent)]) == 0
    assert "dropped: 1 x zero area" in capsys.readouterr().out
    assert run(["data", str(file.parent), "--split", "val"]) == 2
    assert "val.json: nothing is left of its boxes (1 zero area)" in capsys.readouterr().err


def test_a_yolo_folder_with_commas_has_nothing_left(tmp_path, capsys):
    SETS["yolo"](tmp_path)
    for file in (tmp_path / "labels" / "train").iterdir():
        file.write_text(file.read_text().replace(" ", ","))
    assert run(["data", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "nothing is left of its boxes (4 no box)" in err
    assert "no commas" in err


def test_background_alone_is_a_data_set(coco, capsys):
    """Nobody annotated anything, and one image is missing."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(("a.jpg", "gone.jpg"))]
    assert run(["data", str(coco(images=images, annotations=[]))]) == 0
    assert "1 x missing image" in capsys.readouterr().out


def test_nothing_is_left_of_a_voc_list(tmp_path):
    SETS["voc"](tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    (lists / "test.txt").write_text("gone\n")
    with pytest.raises(ValueError, match=r"nothing is left \(1 missing annotation\)"):
        read(tmp_path, "test", on_bad_box="drop")
    for image in (tmp_path / "JPEGImages").iterdir():
        image.unlink()
    pages = sorted(page.stem for page in (tmp_path / "Annotations").glob("*.xml"))
    (lists / "test.txt").write_text("\n".join(pages))
    with pytest.raises(ValueError, match=rf"nothing is left of {len(pages)} images") as error:
        read(tmp_path, "test", on_bad_box="drop")
    boxes = sum(page.read_text().count("<bndbox>") for page in tmp_path.rglob("*.xml"))
    assert f"{boxes} box of an image left out" in str(error.value)


def test_the_boxes_of_a_yolo_image_that_is_cut_off_are_counted(tmp_path):
    SETS["yolo"](tmp_path)
    image = sorted((tmp_path / "images" / "train").iterdir())[0]
    image.write_bytes(image.read_bytes()[:60])
    label = tmp_path / "labels" / "train" / f"{image.stem}.txt"
    boxes = len(label.read_text().splitlines())
    expected = {"unreadable image": ("dropped", 1)}
    expected["box of an image left out"] = ("dropped", boxes)
    assert kinds(read(tmp_path, on_bad_box="drop")) == expected


def test_all_splits_are_told_of_where_none_is_called_train(tmp_path, picture, capsys):
    for name in ("test", "val"):
        picture(tmp_path / f"{name}.jpg")
        whole = {
            "images": [{"id": 1, "file_name": f"{name}.jpg"}],
            "categories": [{"id": 1, "name": "a"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
    assert run(["data", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "split test): 1 image " in out
    assert "split val): 1 image " in out
    with pytest.raises(ValueError, match="several splits and none called train"):
        read(tmp_path)


def test_escapes_in_names_are_shown_not_sent(tmp_path, picture, capsys):
    name = "\x1b[2Ja.jpg"
    picture(tmp_path / "images" / name)
    whole = {
        "images": [{"id": 1, "file_name": name}],
        "categories": [{"id": 1, "name": "\x1b[31mred\u202e"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [1, 1, i, 5]} for i in (0, 5)
        ],
    }
    (tmp_path / "train.json").write_text(json.dumps(whole))
    data = read(tmp_path, on_bad_box="drop")
    assert data.classes == ("\\x1b[31mred\\u202e",)
    assert run(["data", str(tmp_path)]) == 0
    (tmp_path / "images" / name).unlink()
    assert run(["data", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b[2Ja.jpg" in err


@pytest.mark.parametrize("command", ["data", "design", "assign", "doctor", "report"])
def test_every_command_says_what_was_not_used(tmp_path, capsys, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SETS["yolo"](tmp_path / "set")
    labels = tmp_path / "set" / "labels" / "train" / "a.txt"
    labels.write_text(labels.read_text() + "0 .5 .5 .9\n")
    words = {
        "data": ["data", "set"],
        "design": ["design", "set", "--k", "1", "--strides", "8", "--no-curve", "--no-compare"],
        "assign": ["assign", "--data", "set", "--strategy", "max_iou", "--image-size", "64", "64"],
        "doctor": ["doctor", "--data", "set"],
        "report": ["report", "--data", "set", "--image-size", "64"],
    }
    assert run(words[command]) == 0
    out, err = capsys.readouterr()
    assert "4 numbers; expected class cx cy w h" in " ".join((out + err).split())
