import pytest

from kedge.data import read

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


@pytest.fixture
def voc(tmp_path, picture):
    """voc(stem, objects...): add an image of 40 x 30 and its XML; returns the folder."""

    def write(stem, *objects, size=(40, 30), filename=None):
        picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
        rows = "".join(
            OBJECT.format(*box, name=name, difficult=int(difficult))
            for name, box, difficult in objects
        )
        xml = (
            f"<annotation><filename>{filename or stem + '.jpg'}</filename><size><width>{size[0]}"
            f"</width><height>{size[1]}</height><depth>3</depth></size>{rows}</annotation>"
        )
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{stem}.xml").write_text(xml)
        return tmp_path

    return write


def split(folder, name, *stems):
    (folder / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(stems))


def test_corners_are_inclusive_and_count_from_one(voc):
    folder = voc("000005", ("dog", (1, 1, 40, 30), False), ("cat", (5, 6, 5, 6), True))
    data = read(folder)
    (record,) = data.records
    assert record.boxes.tolist() == [[0, 0, 40, 30], [4, 5, 5, 6]]  # one pixel is 1 x 1
    assert data.classes == ("cat", "dog")
    assert record.labels.tolist() == [1, 0]
    assert record.crowd.tolist() == [False, True]  # difficult


def test_splits_share_the_classes_of_the_whole_folder(voc):
    folder = voc("1", ("dog", (1, 1, 9, 9), False))
    voc("2", ("ant", (1, 1, 9, 9), False))
    split(folder, "train", "1")
    split(folder, "val", "2 1")
    split(folder, "dog_train", "1 1", "2 -1")  # a list of one class is no split
    train, val = read(folder, "train"), read(folder, "val")
    assert train.splits == ("train", "val")
    assert train.classes == val.classes == ("ant", "dog")
    assert [r.name for r in val.records] == ["2.jpg"]


def test_a_folder_above_is_found_too(voc, tmp_path):
    folder = voc("1", ("dog", (1, 1, 9, 9), False))
    target = tmp_path / "VOCdevkit" / "VOC2007"
    target.mkdir(parents=True)
    for name in ("Annotations", "JPEGImages"):
        (folder / name).rename(target / name)
    assert read(tmp_path).num_boxes == 1


def test_the_image_of_the_same_stem_when_the_name_is_stale_or_the_size_missing(voc):
    folder = voc("1", ("dog", (1, 1, 9, 9), False), size=(0, 0), filename="renamed_long_ago.png")
    (record,) = read(folder).records
    assert (record.name, record.width, record.height) == ("1.jpg", 40, 30)


def test_bad_objects_are_named_by_their_number(voc):
    folder = voc("1", ("dog", (1, 1, 9, 9), False), ("dog", (20, 9, 10, 5), False))
    with pytest.raises(ValueError, match=r"object 2 \(dog\) of '1.jpg': flipped"):
        read(folder)
    assert read(folder, on_bad_box="clip").records[0].boxes.tolist() == [
        [0, 0, 9, 9],
        [9, 4, 20, 9],
    ]


def test_a_corner_that_is_no_number(voc):
    folder = voc("1", ("dog", ("one", 1, 9, 9), False))
    with pytest.raises(ValueError, match=r"object 1 of '1\.jpg': no box"):
        read(folder)
    assert read(folder, on_bad_box="drop").num_boxes == 0


def test_broken_xml_is_named(voc):
    folder = voc("1", ("dog", (1, 1, 9, 9), False))
    (folder / "Annotations" / "2.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"2\.xml.*is not XML"):
        read(folder)
    assert len(read(folder, on_bad_box="drop")) == 1


def test_entities_are_always_refused(voc):
    folder = voc("1")
    bomb = '<!DOCTYPE a [<!ENTITY x "boom">]><annotation><filename>&x;</filename></annotation>'
    (folder / "Annotations" / "2.xml").write_text(bomb)
    with pytest.raises(ValueError, match="unsafe XML"):
        read(folder, on_bad_box="drop")


@pytest.mark.parametrize("name", ["../../up.jpg", "/etc/hostname"])
def test_no_file_name_leaves_the_folder(voc, name):
    folder = voc("1", ("dog", (1, 1, 9, 9), False), filename=name)
    with pytest.raises(ValueError, match="path outside the folder"):
        read(folder, on_bad_box="drop")


def test_lists_are_checked(voc):
    folder = voc("1")
    split(folder, "train", "1", "1", "9")
    with pytest.raises(ValueError, match=r"line 2 of train\.txt of '1': duplicate") as error:
        read(folder)
    assert "line 3 of train.txt of '9': missing annotation" in str(error.value)
    split(folder, "train", "../../1")
    with pytest.raises(ValueError, match="path outside the folder"):
        read(folder, on_bad_box="drop")


def test_a_missing_image_is_named(voc):
    folder = voc("1")
    (folder / "JPEGImages" / "1.jpg").unlink()
    with pytest.raises(ValueError, match=r"'1\.jpg': missing image"):
        read(folder)
