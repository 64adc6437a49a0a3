"""``kedge assign``: the comparison on real records, its file, and its errors."""

import json

import numpy as np
import PIL.Image
import pytest

from kedge.cli import run
from kedge.data import read, toy


def test_compares_strategies_on_toy_data(tmp_path, capsys):
    out = tmp_path / "table.json"
    words = ["assign", "--data", "toy", "--images", "6", "--image-size", "256", "320"]
    assert run([*words, "--strategy", "max_iou,yolov3,tal", "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "max_iou" in shown
    assert "needs predictions" in " ".join(shown.split())
    rows = {row["strategy"]: row for row in json.loads(out.read_text())["rows"]}
    assert rows["yolov3"]["positives"] + rows["yolov3"]["without"] == rows["yolov3"]["objects"]
    assert rows["max_iou"]["positives"] > rows["yolov3"]["positives"]
    assert sum(rows["max_iou"]["levels"]) == pytest.approx(1, abs=1e-3)
    assert "note" in rows["tal"]


def test_an_unknown_strategy_is_one_line(capsys):
    assert run(["assign", "--data", "toy", "--strategy", "nearest"]) == 2
    assert "no strategy 'nearest'; there are max_iou" in capsys.readouterr().err


def test_draws_what_each_strategy_selects(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    words = ["assign", "--data", "toy", "--images", "4", "--image-size", "192", "320"]
    assert run([*words, "--strategy", "max_iou,tal,atss,fcos", "--draw", str(sheet)]) == 0
    with PIL.Image.open(sheet) as drawn:  # TAL lacks predictions: three panels of 5 : 3
        assert drawn.size == (3 * 488 - 8, 48 + 288)
    assert run([*words, "--draw", str(sheet), "--image", "nowhere.png"]) == 2
    assert "no image is called 'nowhere.png'" in capsys.readouterr().err


def test_draws_an_image_that_is_not_among_those_counted(tmp_path, capsys):
    sheet, names = tmp_path / "sheet.png", [record.name for record in read("toy", "val").records]
    words = ["assign", "--data", "toy", "--split", "val", "--images", "2", "--image-size", "128"]
    words += ["--strategy", "atss", "--draw", str(sheet), "--image"]
    sheets = []
    for name in (names[0], names[1]):
        assert run([*words, name]) == 0
        sheets.append(sheet.read_bytes())
    assert sheets[0] != sheets[1]
    assert "toy: 2 of 100 images" in capsys.readouterr().out


def test_boxes_without_pictures_cannot_be_drawn(tmp_path, capsys):
    path = tmp_path / "boxes.npz"
    one = {"image_id": [5], "x": [1.0], "y": [2.0], "w": [9.0], "h": [9.0], "category_id": [0]}
    columns = {name: np.array(values) for name, values in one.items()}
    np.savez(path, **columns, category_names=np.array(["a"]), images=np.array([[5, 64, 48]]))
    words = ["assign", "--data", str(path), "--draw", str(tmp_path / "sheet.png")]
    assert run(words) == 2
    assert "--draw: " in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


def test_without_a_train_split_by_that_name_the_one_that_begins_so_is_taken(tmp_path, capsys):
    one = {"image_id": [5], "x": [1.0], "y": [2.0], "w": [9.0], "h": [9.0], "category_id": [0]}
    columns = {name: np.array(values) for name, values in one.items()}
    for split in ("train2017", "val2017"):
        path = tmp_path / f"{split}.npz"
        np.savez(path, **columns, category_names=np.array(["a"]), images=np.array([[5, 64, 48]]))
    assert run(["assign", "--data", str(tmp_path), "--strategy", "atss"]) == 0
    assert "train2017.npz:1of1image," in "".join(capsys.readouterr().out.split())


def trained(detector: str, tmp_path, *settings: str) -> list[str]:
    """A run of one step on six images, and the words that compare strategies on it."""
    data, out = toy.write(tmp_path / "data", train=4, val=2, size=(64, 96)), tmp_path / "run"
    words = ["--data", str(data), "--detector", detector, "--image-size", "64", "96", "--quiet"]
    words += ["--epochs", "1", "--options", "width=8", "--out", str(out), *settings]
    assert run(["train", *words]) == 0
    return ["assign", "--data", str(data), "--run", str(out)]


@pytest.mark.slow
def test_a_detector_of_points_shows_its_maps(tmp_path, capsys):
    words, sheet = trained("cornernet", tmp_path), tmp_path / "sheet.png"
    assert run([*words, "--draw", str(sheet)]) == 0
    assert "no anchors to assign" in capsys.readouterr().err
    with PIL.Image.open(sheet) as drawn:  # two corners, and what was found
        assert drawn.size == (3 * 488 - 8, 48 + 320)
    page = tmp_path / "page.html"
    assert run(["report", *words[1:], "--out", str(page)]) == 0
    assert "warm where the detector sees something" in page.read_text()
    assert run(words) == 2
    assert "has no anchors to assign" in capsys.readouterr().err


@pytest.mark.slow
def test_guided_anchors_are_assigned_as_they_are_predicted(tmp_path, capsys):
    words, sheet = trained("ga_rpn", tmp_path, "--anchors", "identical"), tmp_path / "sheet.png"
    assert run([*words, "--strategy", "max_iou,yolov3", "--draw", str(sheet)]) == 0
    assert "Boxes have no cells" in " ".join(capsys.readouterr().out.split())
    with PIL.Image.open(sheet) as drawn:  # max_iou, below it four levels of locations
        assert drawn.size == (4 * 488 - 8, 2 * (48 + 320) + 8)
