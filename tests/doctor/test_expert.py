"""What an expert would add: caps, size against form, fewer shapes, the order of cures."""

import json

import numpy as np
import pytest
from PIL import Image

from kedge import Grid, Level
from kedge.assign.max_iou import MaxIoU
from kedge.cli import run
from kedge.coders import DeltaCoder
from kedge.data import read, toy
from kedge.data.overview import overview
from kedge.doctor import Context, Setup, of_detector
from kedge.doctor.anchor_checks import fit, pyramid
from kedge.doctor.data_checks import bad_boxes, cap, class_balance, duplicates, files, tiny
from kedge.doctor.finding import Finding
from kedge.doctor.plan import advice, plan
from kedge.doctor.size_and_form import size_and_form

GOOD = [10, 10, 60, 50]


def test_size_and_form_by_hand():
    """A square of 20 against one of 10: a quarter of the area. Against 10 x 40 (h / w = 4): the
    same area, and of two such forms half of each is shared, so IoU 1 / 3."""
    wh = np.array([[20.0, 20.0]])
    area, form = size_and_form(wh, np.array([[10.0, 10.0]]))
    assert (area[0], form[0]) == (pytest.approx(0.25), pytest.approx(1))
    area, form = size_and_form(wh, np.array([[10.0, 40.0]]))
    assert (area[0], form[0]) == (pytest.approx(1), pytest.approx(1 / 3))
    area, form = size_and_form(wh, np.array([[10.0, 10.0], [10.0, 40.0]]))  # each of the nearest
    assert (area[0], form[0]) == (pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize(
    ("shape", "said"), [((8, 8), "Size costs"), ((5, 80), "Aspect ratio costs")]
)
def test_what_the_misfit_is_made_of(make_data, one, shape, said):
    boxes = [[[20, 20 + i, 40, 40 + i]] for i in range(8)]
    setup = Setup(
        title="", grid=Grid((128, 160), [Level(stride=8, shapes=[shape])]), assign=MaxIoU(),
        coder=DeltaCoder(), flags="",
    )  # fmt: skip
    found = one(fit.check, Context(data=make_data(boxes, size=(128, 160)), setup=setup), "best_iou")
    assert found.cause.startswith(said)


def test_more_objects_than_detections(make_data, one):
    """130 objects in one image and 20 in another: 30 of 150 are beyond the 100 that count."""
    crowd = [[i, 0, i + 5, 8] for i in range(130)]
    data = make_data([crowd, crowd[:20]])
    two = make_data([crowd], [[0, 1] * 65])  # 65 of each class: the evaluation sees them all
    assert cap.check(Context(data=two)) == []
    found = one(cap.check, Context(data=data), "more_objects_than_detections")
    assert found.evidence["objects_beyond"] == 30
    assert found.predicted["recall_before"] == pytest.approx(0.8)
    assert found.cure == "kedge evaluate ... --max-detections 200"
    setup = of_detector("retinanet", (128, 160))
    assert setup.most == 100
    both = one(cap.check, Context(data=data, setup=setup), "more_objects_than_detections")
    said = "1 image with more objects than the 100 detections that the detector returns"
    assert said in both.symptom
    assert "--selection most=200" in both.cure
    assert cap.check(Context(data=make_data([crowd[:100]]))) == []


def test_the_cap_of_an_evaluation_can_be_raised(tmp_path, capsys):
    """120 boxes of every class stand before the right ones in each image."""
    folder = toy.write(tmp_path / "mini", train=2, val=2, size=(64, 96))
    data = read(folder, "val")
    rows = [
        {"image_id": r.image_id, "category_id": c, "score": 0.9 - 0.001 * k, "bbox": [0, 0, 2, 2]}
        for r in data.records for c in data.category_ids for k in range(120)
    ]  # fmt: skip
    for record in data.records:
        for box, label in zip(record.boxes.tolist(), record.labels.tolist()):
            x, y, x2, y2 = box
            row = {"image_id": record.image_id, "category_id": data.category_ids[label]}
            rows.append(row | {"score": 0.001, "bbox": [x, y, x2 - x, y2 - y]})
    file, out = tmp_path / "results.json", tmp_path / "scores.json"
    file.write_text(json.dumps(rows))
    words = ["evaluate", "--results", str(file), "--data", str(folder), "--split", "val"]
    recall = {}
    for most in (100, 200):
        assert run([*words, "--max-detections", str(most), "--json", str(out)]) == 0
        said = json.loads(out.read_text())
        assert said["max_detections"] == most
        recall[most] = said["scores"][f"AR{most}"]
    assert f"AR{200}" in capsys.readouterr().out
    assert recall[200] == pytest.approx(1)
    assert recall[100] < 1
    assert run([*words, "--max-detections", "5"]) == 2
    assert "must exceed 10" in capsys.readouterr().err


def test_fewer_shapes_where_they_do_as_well(make_data, one):
    """Squares of 32 px want one shape; nine on every level are in use."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 90, (40, 1, 2))
    data = make_data(np.concatenate([corner, corner + 32], axis=2), size=(128, 160))
    levels = [
        Level(stride=s, shapes=[(a * 2 * s, 2 * s / a) for a in np.linspace(0.5, 2, 9)])
        for s in (8, 16)
    ]
    setup = Setup(
        title="", grid=Grid((128, 160), levels), assign=MaxIoU(), coder=DeltaCoder(), flags=""
    )
    found = one(pyramid.check, Context(data=data, setup=setup), "fewer_shapes")
    assert found.evidence["shapes_a_level"] == 1
    assert "--layout pyramid --scales 1 --ratios 1" in found.cure


def test_slivers_are_not_mended_by_a_larger_input(make_data, one):
    data = make_data([[GOOD] * 8 + [[0, 0, 0.1, 50]]])
    found = one(tiny.check, Context(data=data, input_size=(200, 300)), "below_one_pixel")
    assert found.predicted is None
    assert "--image-size" not in found.cure
    assert "below one pixel in the annotations" in found.cause


@pytest.mark.parametrize(("hang", "word", "kept"), [(5, "clip", 2), (30, "drop", 1)])
def test_clip_is_named_where_it_keeps_most_of_every_box(coco_folder, hang, word, kept):
    """Of a box 50 px wide 5 or 30 hang over; another is sound."""
    folder = coco_folder([[[250 + hang, 10, 50, 20], [5, 5, 20, 20]]])
    (found,) = bad_boxes.check(Context(data=read(folder, "train", "drop")))
    assert found.cure.endswith(f"--on-bad-box {word}")
    assert read(folder, "train", word).num_boxes == kept == 1 + found.predicted["repaired"]


def test_lists_of_classes_are_findings(tmp_path, one):
    """Splits that disagree, a class without a name, and twins by case."""
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg")
    names = {"train": ["cat", "Cat", " "], "val": ["cat", "dog"]}
    for split, classes in names.items():
        page = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "iscrowd": 0}
            ],
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(page))
    data = read(tmp_path, "train", "drop")
    kinds = {(f.check, f.severity) for f in files.check(Context(data=data))}
    assert ("splits_disagree", "error") in kinds
    named = [f for f in files.check(Context(data=data)) if f.check == "class_names"]
    assert {f.severity for f in named} == {"warning"}
    assert "'cat', 'Cat'" in " ".join(f.cause for f in named)
    assert "without a name" in " ".join(f.symptom for f in named)


def test_absent_classes_say_which_split_has_them(tmp_path, one):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg")
    for split, label in (("train", 1), ("val", 2)):
        page = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": label, "bbox": [1, 1, 20, 20]}],
            "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2, 3)],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(page))
    data = read(tmp_path, "train", "drop")
    found = one(class_balance.check, Context(data=data), "absent_classes")
    assert found.evidence["objects_elsewhere"] == {"c2": 1}
    assert found.cause == (
        "Other splits hold objects of c2 (1). No split that was read has an object of c3."
    )
    assert found.cure == (
        "Make the splits anew with every class in each. Remove c3 from the list of classes."
    )


def test_duplicate_images_name_both_files(coco_folder, one):
    folder = coco_folder([[[1, 2, 30, 40]], [[1, 2, 30, 40]], [[1, 2, 30, 41]]])
    found = one(duplicates.check, Context(data=read(folder, "train", "drop")), "duplicate_images")
    assert "000.png = 001.png = 002.png" in found.symptom
    assert "differ from copy to copy" in found.cause


def test_cures_are_ordered_and_stand_once():
    def finding(check, cure, severity="warning"):
        return Finding(check=check, severity=severity, symptom="?", cure=cure)

    found = [
        finding("thresholds", "lower"), finding("poorly_covered", "design"),
        finding("best_iou", "design"), finding("bad_records", "mend", "error"),
        finding("object_sizes", "none", "note"),
    ]  # fmt: skip
    assert plan(found) == [
        ("the files: bad_records", "mend"),
        ("the anchors: poorly_covered, best_iou", "design"),
        ("the rule: thresholds", "lower"),
    ]
    found.append(finding("dead_shapes", "leave out"))
    assert ("the anchors, instead of step 2: dead_shapes", "leave out") in plan(found)


def test_the_overview_of_a_data_set(make_data):
    """Two cats of 20 and 40 px, a dog of 100; nobody has a fish."""
    boxes = [[[0, 0, 20, 20], [0, 0, 40, 40]], [[0, 0, 100, 100]]]
    data = make_data(boxes, [[0, 0], [1]], classes=("cat", "dog", "fish"))
    objects, sizes, ratios, classes = overview(data)
    assert objects == "objects: 3, at most 2 in an image"
    assert "20 ... 22 / 40 / 94 ... 100" in sizes
    assert "33.3% small, 33.3% medium, 33.3% large" in sizes
    assert "1 ... 1 / 1 / 1 ... 1" in ratios
    assert classes == "objects of a class: cat 2, dog 1; none of fish"
    assert overview(make_data([[]])) == []


def test_the_advice_says_how_to_ask_about_designed_shapes():
    design = ("the anchors: poorly_covered", "kedge design toy --k 9")
    rule = ("the rule: thresholds", "MaxIoU(positive=0.35)")
    assert advice([]) == advice([rule]) == ""
    assert "--anchors a.json" in advice([design])
    assert "One step at a time" not in advice([design])
    both = advice([design, rule])
    assert both.startswith("One step at a time")
    assert "--json a.json" in both
