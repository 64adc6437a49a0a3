"""``kedge assign``: the comparison on real records, its file, and its errors."""

import json

import pytest

from kedge.cli import run


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
