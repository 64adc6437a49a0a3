"""From nothing to an int8 file on a video, as docs/edge.md says, on the toy data."""

import json
import shutil

import pytest

from kedge.cli import run
from kedge.data import sources, toy
from kedge.data.images import decode
from kedge.data.sources import read_data
from kedge.predict.video import writing
from kedge.train.config import load_config, save_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with toy data, a run of them and a video of their test images."""
    folder = tmp_path_factory.mktemp("edge")
    toy.write(folder / "data", train=24, val=8, size=(96, 128))
    words = ["--data", str(folder / "data"), "--detector", "yolov2", "--image-size", "96", "128"]
    assert run(["train", *words, "--epochs", "2", "--quiet", "--out", str(folder / "run")]) == 0
    with writing(folder / "clip.mp4") as out:
        for number, record in enumerate(toy.data("val", images=6, size=(96, 128)).records):
            out.add(decode(record), number / 5)
    return folder


def test_a_run_becomes_an_int8_file_that_runs_on_a_video(trained, capsys):
    file = trained / "a.onnx"
    assert run(["export", str(trained / "run"), "--to", "int8", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert "int8, nms, 96 x 128 px" in said
    assert "float32" in said
    clip, lines = trained / "clip.mp4", trained / "found.jsonl"
    words = ["predict", str(file), str(clip), "--save", str(trained / "found.mp4")]
    assert run([*words, "--json", str(lines), "--min-score", "0.05"]) == 0
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == list(range(6))


def test_the_file_is_scored_as_the_run_is(trained, capsys):
    file, scores = trained / "b.onnx", trained / "scores.json"
    assert run(["export", str(trained / "run"), "--out", str(file)]) == 0
    assert "as the detector" in capsys.readouterr().out
    found = {}
    for of in (trained / "run", file):
        words = ["--data", str(trained / "data"), "--json", str(scores)]
        assert run(["evaluate", str(of), *words]) == 0
        found[of.name] = json.loads(scores.read_text())["scores"]
    for name in ("AP", "AP50", "VOC"):
        assert found["run"][name] == pytest.approx(found["b.onnx"][name], abs=1e-4)


def test_an_export_needs_no_data_but_for_int8(trained, tmp_path, capsys):
    weights = trained / "run" / "model.safetensors"
    assert run(["export", str(weights), "--to", "int8", "--out", str(tmp_path / "a.onnx")]) == 2
    assert "needs --data" in capsys.readouterr().err
    file = tmp_path / "a.pt2"
    assert run(["export", str(weights), "--to", "torch-export", "--out", str(file)]) == 0
    assert run(["predict", str(file), str(trained / "clip.mp4")]) == 0


def test_the_images_looked_at_are_those_that_the_run_was_trained_on(trained, tmp_path, capsys):
    run_on_val, names = tmp_path / "run", []
    shutil.copytree(trained / "run", run_on_val)
    settings = load_config(run_on_val / "config.yaml", {"train_split": "val"})
    save_config(settings, run_on_val / "config.yaml")

    def read(path, split, **how):
        names.append(split)
        return read_data(path, split, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "read_data", read)
        for folder, more in (
            (trained / "run", []),
            (run_on_val, []),
            (run_on_val, ["--split", "train"]),
        ):
            words = ["export", str(folder), "--out", str(tmp_path / "a.onnx"), *more]
            assert run(words) == 0, capsys.readouterr().err
    assert names == [None, "val", "train"]
