"""Proposals on the command line: found, kept, trained on, and their recall."""

import json

import numpy as np
import pytest

from kedge.cli import run
from kedge.data import toy
from kedge.train import load
from kedge.train.result import load_result

SOURCE = "sliding-window:sides=[0.5,0.25],h_over_w=[1]"
SMALL = ["--epochs", "1", "--batch-size", "4", "--image-size", "64", "96", "--quiet"]


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """A run of Fast R-CNN of a few steps, whose proposals lie in a file of their own."""
    folder = tmp_path_factory.mktemp("fast")
    file = folder / "kept.npz"
    data = toy.write(folder / "data", train=12, val=4, size=(64, 96))
    words = [
        "--data",
        str(data),
        "--detector",
        "fast_rcnn",
        "--options",
        f"source=[{SOURCE}],hidden=8",
    ]
    words += ["--proposals", str(file), "--out", str(folder / "run")]
    assert run(["train", *SMALL, *words]) == 0
    return folder / "run", file


def test_fast_rcnn_makes_its_proposals_and_keeps_them(fast):
    folder, file = fast
    kept = np.load(file)
    result = load_result(folder / "run.json")
    assert len(kept["image"]) == len(set(kept["image"].tolist())) > result.data["images"]["count"]
    assert set(kept["source"].tolist()) == {
        "SlidingWindow(sides=(0.5, 0.25), h_over_w=(1.0,), step=0.5)"
    }
    assert 0 < result.scores["AR50@100"] <= 1
    scored = json.loads((folder / "scores.jsonl").read_text().splitlines()[-1])
    assert scored["AR@50"] == result.scores["AR@50"]


def test_a_saved_detector_finds_proposals_in_a_new_image_by_itself(fast):
    detector = load(fast[0])
    found = detector.predict(np.zeros((40, 60, 3), np.uint8))
    assert found.boxes.shape[1] == 4


def test_evaluation_prints_the_recall_and_says_which_detectors_have_none(fast, capsys, tmp_path):
    folder, file = fast
    before = file.stat().st_mtime_ns
    scores = tmp_path / "scores.json"
    assert run(["evaluate", str(folder), "--proposals", "--json", str(scores)]) == 0
    assert "Recall of proposals" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == before  # nothing was new
    found = json.loads(scores.read_text())["scores"]
    recall = [found[f"AR50@{most}"] for most in (50, 100, 300, 1000)]
    assert recall == sorted(recall)
    assert run(["evaluate", "--results", "x.json", "--data", "toy", "--proposals"]) == 2
    assert "--proposals: a results file has none" in capsys.readouterr().err


def test_kedge_proposals_prints_what_the_source_covers(capsys, tmp_path):
    file = tmp_path / "kept.npz"
    words = ["proposals", "toy", "--split", "val", "--source", SOURCE, "--out", str(file)]
    assert run(words) == 0
    first = capsys.readouterr().out
    assert "proposals an image" in first
    assert file.exists()
    assert run(words) == 0
    assert capsys.readouterr().out == first
    assert run(["proposals", "toy", "--source", "slide"]) == 2
    assert "no source 'slide'" in capsys.readouterr().err
