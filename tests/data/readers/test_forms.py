"""Every form says the same four boxes, and is read without being told which form it is."""

import json
import re

import numpy as np
import pytest
from fuzz.sets import BOXES, CLASSES, SETS

from kedge.cli import run
from kedge.data import read, said, splits_of

EXPECTED = sorted((image, (x, y, x + w, y + h)) for image, _, x, y, w, h in BOXES)


def boxes(data):
    return sorted(
        (
            record.name.replace("\\", "/").rsplit("/")[-1].split(".")[0],
            tuple(round(float(v), 3) for v in box),
        )
        for record in data.records
        for box in record.boxes
    )


@pytest.mark.parametrize("form", SETS)
def test_every_form_is_recognised_and_read(tmp_path, form):
    SETS[form](tmp_path / "set")
    path = tmp_path / "set" / ("boxes.jsonl" if form == "jsonl" else "")
    data = read(path)
    found = boxes(data)
    if data.format == "boxes without images":
        found = [("ab"[int(name.split()[1])], box) for name, box in found]
    assert found == EXPECTED
    if form not in ("visdrone", "wider_face", "odgt"):  # these have classes of their own
        names = sorted(data.classes[label] for r in data.records for label in r.labels)
        assert names == sorted(name for _, name, *_ in BOXES)
        assert sorted(data.classes) == CLASSES
    assert not [f for f in data.findings if f.action in ("dropped", "unused")]


@pytest.mark.parametrize("form", SETS)
def test_every_form_says_the_sizes_also_where_files_need_not_be_looked_at(tmp_path, form, capsys):
    """Of forms whose annotations leave them out, which then are taken from the files."""
    SETS[form](tmp_path / "set")
    path = tmp_path / "set" / ("boxes.jsonl" if form == "jsonl" else "")
    sizes = [
        sorted((r.width, r.height) for r in read(path, check_images=c).records)
        for c in (True, False)
    ]
    assert sizes[0] == sizes[1]
    assert all(width and height for width, height in sizes[0])
    for words in (["design", "--k", "2", "--restarts", "2"], ["assign", "--strategy", "atss"]):
        assert (
            run([words[0], *(["--data"] if words[0] == "assign" else []), str(path), *words[1:]])
            == 0
        )
        shown = capsys.readouterr().out
        assert "NaN" not in shown
        assert re.search(r"\b4 (boxes|objects)\b", shown)


@pytest.mark.parametrize("form", [name for name in SETS if name != "parquet"])
def test_text_with_a_mark_or_in_utf_16_is_the_same(tmp_path, form):
    if form.startswith("npz"):
        pytest.skip("no text")
    for encoding in ("utf-8-sig", "utf-16"):
        folder = tmp_path / encoding
        SETS[form](folder)
        for file in folder.rglob("*"):
            if file.is_file() and file.suffix != ".png":
                file.write_bytes(file.read_text().encode(encoding))
        path = folder / ("boxes.jsonl" if form == "jsonl" else "")
        assert boxes(read(path)) == EXPECTED


def test_splits_are_named(tmp_path):
    SETS["roboflow"](tmp_path)
    (tmp_path / "train").rename(tmp_path / "valid")
    SETS["roboflow"](tmp_path)
    assert set(splits_of(tmp_path)) == {"train", "val"}
    assert read(tmp_path, "valid").split == "val"
    assert splits_of(tmp_path / "nothing") == ()
    assert splits_of("toy") == ("train", "val")


def test_voc_in_folders_of_splits_has_the_classes_of_all_of_them(tmp_path):
    for name in ("train", "valid", "test"):
        SETS["voc_beside"](tmp_path / "x")
        (tmp_path / "x" / "train").rename(tmp_path / name)
    page = tmp_path / "test" / "a.xml"
    page.write_text(page.read_text().replace("cat", "ant"))
    assert set(splits_of(tmp_path)) == {"train", "val", "test"}
    assert read(tmp_path, "train").classes == ("ant", "cat", "dog")


def test_voc_with_nested_folders_spaces_and_endings(tmp_path, picture):
    xml = (
        "<annotation><filename>{0}</filename><object><name>dog</name><bndbox><xmin>1</xmin>"
        "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "Annotations" / "day 1").mkdir(parents=True)
    for name in ("img (1)", "img (2)"):
        picture(tmp_path / "JPEGImages" / "day 1" / f"{name}.jpg")
        (tmp_path / "Annotations" / "day 1" / f"{name}.xml").write_text(xml.format(f"{name}.jpg"))
    assert read(tmp_path).num_boxes == 2
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("day 1/img (1).jpg\n")
    assert [r.name for r in read(tmp_path, "train").records] == ["img (1).jpg"]


def test_a_table_has_rows_for_empty_images_and_classes_of_all_splits(tmp_path, picture):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "train.csv").write_text("a.jpg,1,2,9,9,dog\nb.jpg,,,,,\n")
    (tmp_path / "val.csv").write_text("a.jpg,1,2,9,9,ant\n")
    data = read(tmp_path, "train")
    assert [len(record.boxes) for record in data.records] == [1, 0]
    assert data.classes == ("ant", "dog")


@pytest.mark.parametrize("names", ["/m/cat,cat\n", "/\0m\0\0/c\0a\0t\0,\0c\0\n"])
def test_codes_that_no_description_names_are_said(tmp_path, names):
    SETS["open_images"](tmp_path)
    (tmp_path / "class-descriptions.csv").write_text(names)
    data = read(tmp_path)
    assert "/m/dog" in data.classes
    found = next(f for f in data.findings if f.kind == "code without a name")
    unnamed = sorted(name for name in data.classes if name.startswith("/m/"))
    assert found.count == len(unnamed)
    assert f"the first {unnamed[0]!r}" in found.message
    (tmp_path / "class-descriptions.csv").unlink()  # without one there is nothing to say
    assert not [f for f in read(tmp_path).findings if f.kind == "code without a name"]


def test_ignored_regions_of_kitti_visdrone_wider_and_crowdhuman_are_crowds(tmp_path):
    for form in ("kitti", "visdrone", "wider_face", "odgt"):
        SETS[form](tmp_path / form)
    edit(tmp_path / "kitti/training/label_2/a.txt", "dog", "DontCare")
    edit(tmp_path / "visdrone/annotations/a.txt", "20,10,12,16,1,4", "20,10,12,16,0,0")
    edit(
        tmp_path / "wider_face/wider_face_split/wider_face_train_bbx_gt.txt",
        "20 10 12 16 0 0 0 0", "20 10 12 16 0 0 0 1",
    )  # fmt: skip
    edit(
        tmp_path / "odgt/annotation_train.odgt",
        '"tag": "person", "fbox": [20', '"tag": "mask", "fbox": [20',
    )  # fmt: skip
    for form in ("kitti", "visdrone", "wider_face", "odgt"):
        data = read(tmp_path / form)
        crowds = [b.tolist() for r in data.records for b in r.boxes[r.crowd]]
        assert crowds == [[20, 10, 32, 26]], form
        assert any("ignored annotation" in line for line in said(data)), form


def edit(file, old, new):
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_labelme_has_boxes_around_polygons_and_circles_and_counts_points(tmp_path, picture):
    picture(tmp_path / "a.jpg")
    shapes = [
        {"label": "dog", "points": [[9, 8], [1, 2]], "shape_type": "rectangle"},
        {"label": "dog", "points": [[1, 1], [5, 2], [3, 9]], "shape_type": "polygon"},
        {"label": "cat", "points": [[10, 10], [13, 14]], "shape_type": "circle"},
        {"label": "cat", "points": [[10, 10]], "shape_type": "point"},
        {"label": "dog", "points": [[9, 1], [13, 5], [9, 9], [5, 5]], "shape_type": "rotation"},
    ]
    whole = {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": 40, "imageHeight": 30}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    data = read(tmp_path)
    expected = [[1, 2, 9, 8], [1, 1, 5, 9], [5, 5, 15, 15], [5, 1, 13, 9]]
    assert data.records[0].boxes.tolist() == expected
    found = {(finding.kind, finding.count, finding.action) for finding in data.findings}
    assert found == {("shape without a box", 1, "unused"), ("rotation", 1, "kept")}


def test_a_list_of_faces_that_does_not_add_up_is_refused_whole(tmp_path):
    """A count that is too large would give one image the faces of the next."""
    SETS["wider_face"](tmp_path)
    file = tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    edit(file, "a.png\n2\n", "a.png\n4\n")
    with pytest.raises(ValueError, match=r"bbx_gt\.txt: line 5: is no row of a face"):
        read(tmp_path, on_bad_box="drop")


@pytest.mark.parametrize("by_name", [True, False])
def test_hugging_face_says_the_areas_of_masks(tmp_path, picture, by_name):
    picture(tmp_path / "a.jpg")
    rows = [{"bbox": [1, 2, 3, 4], "area": area} for area in (7.5, None, "6", "much", -1)]
    columns = {key: [row[key] for row in rows] for key in ("bbox", "area")}
    row = {"file_name": "a.jpg", "objects": columns if by_name else rows}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    data = read(tmp_path)
    assert np.array_equal(data.records[0].area, [7.5, np.nan, 6, np.nan, np.nan], equal_nan=True)
    [odd] = [f for f in data.findings if f.kind == "area that is none"]
    assert (odd.count, odd.record) == (2, "object 4 of line 1")
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row | {"objects": {"bbox": []}}))
    assert read(tmp_path).records[0].area is None


def test_hugging_face_with_numbers_for_classes_and_a_list_of_objects(tmp_path, picture):
    picture(tmp_path / "a.jpg")
    row = {"file_name": "a.jpg", "objects": [{"bbox": [1, 2, 3, 4], "category": 10},
                                             {"bbox": [1, 2, 3, 4], "category": 2}]}  # fmt: skip
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    data = read(tmp_path)
    assert data.classes == ("class 2", "class 10")  # in the order of the numbers
    assert data.records[0].labels.tolist() == [1, 0]


@pytest.mark.parametrize("by_name", [True, False])
def test_hugging_face_marks_crowds_as_coco_and_tables_do(tmp_path, picture, by_name):
    picture(tmp_path / "a.jpg")
    rows = [{"bbox": [1, 2, 3, 4], "iscrowd": mark} for mark in (0, 1, True, None)]
    columns = {key: [row[key] for row in rows] for key in ("bbox", "iscrowd")}
    row = {"file_name": "a.jpg", "objects": columns if by_name else rows}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row))
    assert read(tmp_path).records[0].crowd.tolist() == [False, True, True, False]
    columns["iscrowd"][0] = "perhaps"
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row | {"objects": columns}))
    with pytest.raises(ValueError, match=r"object 1 of line 1 .*'perhaps': expected 0 or 1"):
        read(tmp_path)
    columns["iscrowd"].pop()
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row | {"objects": columns}))
    with pytest.raises(ValueError, match="of one length"):
        read(tmp_path)


def write_split(form, folder, split, label):
    """One box of a class in a.jpg, as `form` says it."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    if form == "table":
        (folder / f"{split}.csv").write_text(f"a.jpg,1,2,9,9,{label}\n")
    elif form == "Hugging Face":
        row = {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 8, 7]], "categories": [label]}}
        (folder / split / "metadata.jsonl").write_text(json.dumps(row))
    elif form == "LabelMe":
        shape = {"label": label, "points": [[1, 2], [9, 9]], "shape_type": "rectangle"}
        row = {"imagePath": "a.jpg", "shapes": [shape], "imageWidth": 40, "imageHeight": 30}
        (folder / split / "a.json").write_text(json.dumps(row))
    else:
        box = "<xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax>"
        item = f"<object><name>{label}</name><bndbox>{box}</bndbox></object>"
        page = f"<annotation><filename>a.jpg</filename>{item}</annotation>"
        (folder / split / "a.xml").write_text(page)


@pytest.mark.parametrize("root", ["images", "."])
@pytest.mark.parametrize("form", ["table", "Hugging Face", "LabelMe", "VOC"])
def test_classes_are_those_of_all_splits_also_where_the_images_lie_elsewhere(
    tmp_path, picture, form, root
):
    picture(tmp_path / "images" / "a.jpg")
    for split, label in (("train", "dog"), ("val", "ant")):
        write_split(form, tmp_path / "boxes", split, label)
    for split in ("train", "val"):
        data = read(tmp_path / "boxes", split, root=tmp_path / root)
        assert (data.classes, data.num_boxes) == (("ant", "dog"), 1)
