"""--root: annotations here, images there, in every command that reads data."""

import json
from pathlib import Path

import pytest

from kedge.cli import run
from kedge.data import read, toy
from kedge.train.config import load_config


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> tuple[Path, Path]:
    """A yaml and, in another folder, its images and labels; splits train and val."""
    here, there = tmp_path_factory.mktemp("annotations"), tmp_path_factory.mktemp("images")
    toy.write(there / "coco", train=6, val=3, size=(64, 96))
    for split in ("train", "val"):
        whole = json.loads((there / "coco" / f"{split}.json").read_text())
        for kind in ("images", "labels"):
            (there / kind / split).mkdir(parents=True)
        for image in whole["images"]:
            name = image["file_name"]
            (there / "coco" / "images" / name).rename(there / "images" / split / name)
            rows = [
                f"{a['category_id'] - 1} {(x + w / 2) / image['width']} "
                f"{(y + h / 2) / image['height']} {w / image['width']} {h / image['height']}"
                for a in whole["annotations"]
                if a["image_id"] == image["id"]
                for x, y, w, h in [a["bbox"]]
            ]
            label = there / "labels" / split / Path(name).with_suffix(".txt").name
            label.write_text("\n".join(rows))
    names = [c["name"] for c in whole["categories"]]
    text = {"path": str(there), "names": names, "train": "images/train", "val": "images/val"}
    (here / "data.yaml").write_text(json.dumps(text))
    return here / "data.yaml", there


def test_without_it_the_line_says_what_to_do(apart, capsys):
    assert run(["doctor", "--data", str(apart[0])]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--root FOLDER" in err


def test_every_command_takes_it_and_a_run_remembers_it(apart, tmp_path, capsys):
    data, root = str(apart[0]), str(apart[1])
    where, out = ["--data", data, "--root", root], tmp_path / "run"
    size = ["--image-size", "64", "96"]
    short = ["--epochs", "1", "--batch-size", "3", "--options", "width=8", "--anchors", "16x16"]
    assert run(["data", data, "--root", root]) == 0
    assert run(["design", data, "--root", root, "--k", "2", "--no-curve", "--no-compare"]) == 0
    assert run(["doctor", *where, "--detector", "retinanet"]) == 0
    assert run(["assign", *where, *size, "--strategy", "atss"]) == 0
    assert run(["report", *where, *size, "--out", str(tmp_path / "r.html")]) == 0
    assert run(["train", *where, *size, *short, "--out", str(out), "--quiet"]) == 0
    assert load_config(out / "config.yaml").root == Path(root)
    assert run(["evaluate", str(out)]) == 0
    assert run(["evaluate", str(out), *where, "--split", "val"]) == 0
    assert run(["doctor", "--run", str(out)]) == 0
    assert run(["report", "--run", str(out), "--out", str(tmp_path / "r.html")]) == 0
    results = tmp_path / "results.json"
    results.write_text("[]")
    assert run(["evaluate", "--results", str(results), *where]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_root_that_is_none_is_an_error(apart, tmp_path):
    with pytest.raises(ValueError, match="must be a folder that exists"):
        read(apart[0], root=tmp_path / "gone")
    with pytest.raises(ValueError, match="toy is drawn by code"):
        read("toy", root=tmp_path)
