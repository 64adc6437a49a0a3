import json
import math

import pytest

from kedge.data import read
from kedge.evaluate import judge
from kedge.predict.score import from_results, score


def test_boxes_labels_ids_and_crowds_by_hand(coco):
    file = coco(
        annotations=[
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 10, 5]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 4], "iscrowd": 1},
        ]
    )
    data = read(file)
    (record,) = data.records
    assert record.boxes.tolist() == [[1, 2, 11, 7], [0, 0, 4, 4]]
    assert (data.classes, data.category_ids) == (("car", "dog"), (3, 18))  # sorted by id
    assert record.labels.tolist() == [1, 0]
    assert record.crowd.tolist() == [False, True]
    assert (record.image_id, record.width, record.height) == (7, 40, 30)
    assert (str(record.boxes.dtype), str(record.labels.dtype)) == ("float32", "int64")


def test_images_without_boxes_are_kept_in_the_order_of_the_file(coco, picture):
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 40, "height": 30} for i in (9, 2, 7)]
    file = coco([1, 1, 5, 5], images=images)
    for i in (9, 2, 7):
        picture(file.parent / "images" / f"{i}.jpg")
    data = read(file)
    assert [(r.image_id, len(r.boxes)) for r in data.records] == [(9, 0), (2, 0), (7, 1)]


def test_annotations_of_one_image_may_be_scattered(coco, picture):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in (1, 2)]
    boxes = [(1, 5), (2, 6), (1, 7), (2, 8)]
    file = coco(
        images=images,
        annotations=[
            {"id": n, "image_id": image, "category_id": 3, "bbox": [0, 0, side, side]}
            for n, (image, side) in enumerate(boxes)
        ],
    )
    for i in (1, 2):
        picture(file.parent / "images" / f"{i}.jpg")
    assert [r.boxes[:, 2].tolist() for r in read(file).records] == [[5, 7], [6, 8]]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["train.json", "val.json", "stats.json"], {"train", "val"}),
        (
            ["annotations/instances_train2017.json", "annotations/captions_train2017.json"],
            {"train"},
        ),
        (
            ["annotations/instances_val2014.json", "annotations/instances_val2017.json"],
            {"val2014", "val2017"},
        ),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], {"train", "val"}),
    ],
)
def test_layouts_of_folders(tmp_path, picture, files, splits):
    picture(tmp_path / "images" / "a.jpg")
    whole = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [], "annotations": []}
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(whole))
    for split in splits:
        data = read(tmp_path, split)
        assert (data.split, set(data.splits), len(data)) == (split, splits, 1)


def test_images_may_lie_in_a_folder_named_like_the_split(tmp_path, picture):
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}))
    image = picture(tmp_path / "train2017" / "a.jpg")
    assert read(tmp_path).records[0].file == image
    assert read(file).records[0].file == image


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "Expected `object`"),
        ('{"images": []}', "categories"),
        ('{"images": [{"id": "x"}], "categories": []}', r"\$.images\[0\].id"),
        ('{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "both"),
    ],
)
def test_a_file_that_is_not_coco_is_named_with_the_field(tmp_path, text, message):
    file = tmp_path / "train.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read(file)
    assert str(file) in str(error.value)


def test_a_single_file_has_no_splits(coco):
    with pytest.raises(ValueError, match="leave out split"):
        read(coco(), "train")


def test_the_area_of_the_mask_decides_the_size_as_coco_s_own_scores_have_it(coco, tmp_path):
    boxes = [[0, 0, 40, 30], [2, 2, 38, 28], [5, 5, 10, 10]]
    areas = [1000.0, None, "75"]  # of 1200 by its box; not said; text
    rows = [
        {"id": i, "image_id": 7, "category_id": 3, "bbox": box, "area": area}
        for i, (box, area) in enumerate(zip(boxes, areas))
    ]
    file, results = coco(annotations=rows), tmp_path / "results.json"
    data = read(file)
    assert data.findings == []
    assert data.records[0].area.tolist()[::2] == [1000, 75]
    assert math.isnan(data.records[0].area[1])
    found = [
        {"image_id": 7, "category_id": 3, "bbox": box, "score": 0.9 - i / 10}
        for i, box in enumerate(boxes[:2])
    ]
    results.write_text(json.dumps(found))
    said = score(from_results(results, data), data)
    file.write_text(file.read_text().replace('"75"', "75"))
    judged = judge(results, file)
    judged = {key: judged[key] for key in judged if key in said}
    assert repr({key: said[key] for key in judged}) == repr(judged)
    assert 0 < said["APs"] < said["APm"]


@pytest.mark.parametrize("area", [-1, "much", [5], 1e999])
def test_an_area_that_is_none_is_said_and_that_of_the_box_taken(coco, area):
    row = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5, 5], "area": area}
    data = read(coco(annotations=[row, row | {"id": 6, "area": 20}]))
    assert (math.isnan(data.records[0].area[0]), data.records[0].area[1]) == (True, 20)
    (finding,) = data.findings
    assert (finding.kind, finding.record) == ("area that is none", "annotation 5")


def test_a_file_that_says_no_area_has_none(coco):
    assert read(coco([1, 1, 5, 5])).records[0].area is None


def test_two_files_of_one_split_are_named_and_one_file_under_two_names_is_one(coco):
    file = coco([1, 1, 5, 5])
    other = file.parent / "annotations" / "instances_train.json"
    other.parent.mkdir()
    other.write_bytes(file.read_bytes())
    message = r"'train' is both train\.json and annotations/instances_train\.json"
    with pytest.raises(ValueError, match=message):
        read(file.parent)
    assert len(read(other)) == 1
    other.unlink()
    other.symlink_to(file)
    assert read(file.parent).splits == ("train",)
    file.rename(file.with_name("instances_train2017.json"))
    other.unlink()
    other.write_bytes(file.with_name("instances_train2017.json").read_bytes())
    assert set(read(file.parent, "train2017").splits) == {"train", "train2017"}


def test_two_files_of_one_name_of_any_kind_are_named(coco):
    file = coco([1, 1, 5, 5])
    file = file.rename(file.with_name("boxes.json"))
    (file.parent / "annotations").mkdir()
    (file.parent / "annotations" / "boxes.json").write_bytes(file.read_bytes())
    with pytest.raises(
        ValueError, match=r"'boxes' is both boxes\.json and annotations/boxes\.json"
    ):
        read(file.parent)


def test_folders_that_a_disk_does_not_tell_apart_are_one(coco):
    file = coco([1, 1, 5, 5])
    (file.parent / "annotations").mkdir()
    file.rename(file.parent / "annotations" / "boxes.json")
    (file.parent / "Annotations").symlink_to(file.parent / "annotations")
    assert read(file.parent).splits == ()


def test_a_link_that_leads_nowhere_is_named(coco):
    file = coco([1, 1, 5, 5])
    file.with_name("val.json").symlink_to(file.with_name("gone.json"))
    assert read(file.parent).split == "train"
    with pytest.raises(ValueError, match=r"val\.json"):
        read(file.parent, "val")
