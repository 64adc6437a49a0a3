"""Files are found where they lie: what programs and systems write differently does not matter."""

import os
import unicodedata

import pytest

from kedge.data import read


def image(name, number=7):
    return {"id": number, "file_name": name, "width": 40, "height": 30}


@pytest.mark.parametrize(
    "name",
    [
        "images\\a.jpg",  # slash
        ".\\images\\a.jpg",
        "A.JPG",  # case
        "Images/A.jpg",
        "images/1/a.jpg",  # a project's id
        "upload/17/a.jpg",  # folders in front
        "C:\\Users\\me\\set\\a.jpg",  # absolute paths
        "/home/me/set/images/a.jpg",
        "http://host:8080/data/upload/1/a.jpg",  # URLs
        "s3://bucket/deep/a.jpg",
        "https://host/a.jpg?token=5",
        "/data/local-files/?d=set/a.jpg",
        "file:///C:/set/a.jpg",
        "folder%2Fa.jpg",
    ],
)
def test_a_name_that_fits_one_file_alone_finds_it_and_it_is_said_once(coco, name):
    data = read(coco([1, 1, 5, 5], images=[image(name)]))
    assert data.records[0].file.name == "a.jpg"
    (finding,) = data.findings
    assert (finding.kind, finding.action) == ("file found under another name", "kept")
    assert repr(name) in finding.message or name in finding.message


@pytest.mark.parametrize(("said", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_the_unicode_form_does_not_matter(coco, picture, said, stored):
    name = "pièce é.jpg"
    file = coco([1, 1, 5, 5], images=[image(unicodedata.normalize(said, name))])
    picture(file.parent / "images" / unicodedata.normalize(stored, name))
    assert len(read(file)) == 1


def test_all_names_together_are_one_note(coco, picture):
    names = [f"{i}.jpg" for i in range(5)]
    file = coco(images=[image(f"up\\{name}", i) for i, name in enumerate(names)], annotations=[])
    for name in names:
        picture(file.parent / "images" / name)
    (finding,) = read(file).findings
    assert finding.count == 5


def test_two_files_of_one_name_are_not_guessed_between(coco, picture):
    file = coco([1, 1, 5, 5], images=[image("x/b.jpg")])
    for folder in ("one", "two"):
        picture(file.parent / "deep" / folder / "b.jpg")
    with pytest.raises(ValueError, match=r"no one file fits it alone .*deep/one/b\.jpg"):
        read(file)


def test_the_folders_in_common_decide(coco, picture):
    file = coco([1, 1, 5, 5], images=[image("/old/one/b.jpg")])
    for folder in ("one", "two"):
        picture(file.parent / "deep" / folder / "b.jpg")
    assert read(file).records[0].file.parent.name == "one"


def test_two_names_for_one_file_are_both_refused(coco):
    """Boxes of two images must not be put on one."""
    file = coco(images=[image("x/a.jpg", 1), image("y/a.jpg", 2)], annotations=[])
    with pytest.raises(ValueError, match="2 missing image"):
        read(file)


def test_a_name_as_it_is_written_beats_one_that_is_only_alike(coco):
    file = coco(images=[image("a.jpg", 1), image("y/a.jpg", 2)], annotations=[])
    data = read(file, on_bad_box="drop")
    assert [record.image_id for record in data.records] == [1]
    assert {f.kind for f in data.findings} == {"missing image"}


def test_nothing_is_found_outside_of_the_folder(coco, picture, tmp_path):
    picture(tmp_path / "b.jpg")
    file = coco([1, 1, 5, 5], images=[image("x\\b.jpg")])
    os.symlink(tmp_path / "b.jpg", file.parent / "images" / "link.jpg")
    with pytest.raises(ValueError, match="missing image"):
        read(file)
    file = coco([1, 1, 5, 5], images=[image("y\\LINK.jpg")])
    with pytest.raises(ValueError, match="missing image"):
        read(file)


def test_lists_and_yaml_of_another_system(tmp_path, picture):
    picture(tmp_path / "images" / "train" / "a.jpg")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "A.TXT").write_text("0 .5 .5 .5 .5\n")  # another ending
    (tmp_path / "train.txt").write_text(".\\images\\train\\a.jpg\r\n")
    for train in ("train.txt", ".\\images\\train", "/content/set/images/train", "./train.txt"):
        (tmp_path / "data.yaml").write_text(f"train: '{train}'\nnames: [a]\n")
        assert read(tmp_path).num_boxes == 1


def test_the_root_is_the_user_s_to_say(tmp_path, picture):
    picture(tmp_path / "set" / "images" / "a.jpg")
    (tmp_path / "set" / "labels").mkdir()
    (tmp_path / "set" / "labels" / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "configs").mkdir()
    yaml = tmp_path / "configs" / "data.yaml"
    yaml.write_text("path: ../set\ntrain: images\nnames: [a]\n")
    with pytest.raises(ValueError, match="--root"):
        read(yaml)
    assert read(yaml, root=tmp_path / "set").num_boxes == 1
    assert read(yaml, root=tmp_path).num_boxes == 1
    yaml.write_text("path: /elsewhere/set\ntrain: images\nnames: [a]\n")
    assert read(yaml, root=tmp_path / "set").num_boxes == 1
    yaml.write_text("train: ../../etc\nnames: [a]\n")
    with pytest.raises(ValueError, match="leaves the data folder"):
        read(yaml, root=tmp_path / "set")
    with pytest.raises(ValueError, match="must be a folder"):
        read(yaml, root=tmp_path / "nothing")


def test_names_that_no_file_system_takes_cost_nothing(coco):
    names = ["x/" * 3000, "a" * 5000, "b" * 300, "\0", "http://["]
    rows = [image(name, i) for i, name in enumerate(names)]
    with pytest.raises(ValueError, match=r"a path of 6000 characters|1 problem: "):
        read(coco(images=[*rows, image("a.jpg", 9)], annotations=[]))


@pytest.mark.parametrize("folder", ["images/val", "val2017", "valid/images", "test_images"])
@pytest.mark.parametrize("read_alone", [False, True])
def test_an_image_of_another_split_never_stands_in_for_a_missing_one(
    coco, picture, folder, read_alone
):
    file = coco([1, 1, 5, 5], images=[image("0007.jpg")])
    picture(file.parent / folder / "0007.jpg")
    with pytest.raises(ValueError, match=rf"no such file in its split.*{folder}/0007\.jpg"):
        read(file if read_alone else file.parent)


def test_a_name_that_says_its_split_is_that_split_s(coco, picture):
    file = coco([1, 1, 5, 5], images=[image("old/val/b.jpg")])
    picture(file.parent / "images" / "val" / "b.jpg")
    assert read(file).records[0].file.parent.name == "val"
    whole = file.with_name("boxes.json")  # of no split, but its name is
    file.rename(whole)
    picture(file.parent / "images" / "val" / "b.jpg").rename(file.parent / "images" / "b.jpg")
    assert len(read(whole)) == 1
    picture(file.parent / "images" / "train" / "b.jpg")
    (file.parent / "images" / "b.jpg").unlink()
    with pytest.raises(ValueError, match="another split's"):
        read(whole)


def test_minival_is_of_val_and_folders_of_splits_say_nothing_where_nothing_is_asked(coco, picture):
    file = coco([1, 1, 5, 5], images=[image("b.jpg")])
    picture(file.parent / "deep" / "val2014" / "b.jpg")
    for name in ("instances_minival2014.json", "boxes.json"):
        file = file.rename(file.with_name(name))
        assert read(file).records[0].file.parent.name == "val2014"


def test_a_list_and_a_folder_of_voc_keep_to_their_split_too(tmp_path, picture):
    for split in ("train", "val"):
        (tmp_path / "yolo" / "labels" / split).mkdir(parents=True)
        for name in "ab":
            label = tmp_path / "yolo" / "labels" / split / f"{name}.txt"
            label.write_text("0 .5 .5 .5 .5\n")
    picture(tmp_path / "yolo" / "images" / "val" / "a.jpg")
    picture(tmp_path / "yolo" / "images" / "train" / "b.jpg")
    (tmp_path / "yolo" / "train.txt").write_text("old/a.jpg\nold/b.jpg\n")
    (tmp_path / "yolo" / "data.yaml").write_text("train: train.txt\nnames: [a]\n")
    with pytest.raises(ValueError, match=r"no such file in its split.*val/a\.jpg"):
        read(tmp_path / "yolo")
    page = (
        "<annotation><filename>a.jpg</filename><object><name>a</name><bndbox><xmin>1</xmin>"
        "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    for split in ("train", "valid"):
        (tmp_path / "voc" / split).mkdir(parents=True)
        (tmp_path / "voc" / split / "a.xml").write_text(page)
    picture(tmp_path / "voc" / "valid" / "a.jpg")
    assert len(read(tmp_path / "voc", "val")) == 1
    with pytest.raises(ValueError, match=r"no such file in its split.*valid/a\.jpg"):
        read(tmp_path / "voc", "train")


def test_an_image_that_is_missing_under_the_root_is_missing_and_no_path_out_of_it(coco, picture):
    file = coco([1, 1, 5, 5], images=[image("b.jpg"), image("c.jpg", 8)])
    picture(file.parents[1] / "there" / "c.jpg")
    data = read(file, on_bad_box="drop", root=file.parents[1] / "there")
    assert [record.name for record in data.records] == ["c.jpg"]
    assert data.findings[0].kind == "missing image"
    with pytest.raises(ValueError, match="path outside the folder"):
        read(coco(images=[image("../b.jpg")]), root=file.parents[1] / "there")
