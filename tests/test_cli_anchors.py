"""One design, everywhere: what `kedge design` writes and prints is taken by every command."""

import json

import pytest

from kedge.cli import run
from kedge.data import toy

SIZE = ["--image-size", "96x128"]


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Eight drawn images of 96 x 128 (H, W) and four to score on, as a COCO folder."""
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=8, val=4, size=(96, 128))


@pytest.fixture(scope="module")
def design(mini, tmp_path_factory):
    """A design of two shapes for the one level of YOLOv2, and the file it is in."""
    file = tmp_path_factory.mktemp("design") / "design.json"
    words = ["--k", "2", "--strides", "16", "--restarts", "2", "--no-curve", "--no-compare"]
    assert run(["design", str(mini), *SIZE, *words, "--for", "yolov5", "--json", str(file)]) == 0
    return file


def train(data, out, anchors, *more, epochs=1):
    small = ["--options", "width=8", "--epochs", str(epochs), "--batch-size", "4", "--overwrite"]
    words = ["train", "--data", str(data), "--out", str(out), "--anchors", anchors, *small]
    return run([*words, *more])


def shapes_of(out):
    first = (out / "shapes.jsonl").read_text().splitlines()[0]
    return json.loads(first)["shapes"]


def test_a_design_file_in_every_command(mini, design, tmp_path, capsys):
    made = json.loads(design.read_text())
    (level,) = made["levels"]
    words = ["--data", str(mini), "--detector", "yolov2", "--anchors", str(design), *SIZE]
    assert run(["doctor", *words]) == 0
    assert run(["assign", *words, "--strategy", "MaxIoU:positive=0.6,YOLOv3"]) == 0
    assert run(["report", *words, "--out", str(tmp_path / "r.html")]) == 0
    assert "was designed for" not in capsys.readouterr().err
    assert train(mini, tmp_path / "run", str(design), *SIZE) == 0
    assert "was designed for" not in capsys.readouterr().err
    for ours, theirs in zip(shapes_of(tmp_path / "run"), level["shapes"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_a_design_for_another_input_is_said(mini, design, tmp_path, capsys):
    other = ["--image-size", "64"]
    words = ["--data", str(mini), "--detector", "yolov2", "--anchors", str(design), *other]
    line = f"{design} was designed for images of 96 x 128 (letterbox); here: 64 x 64 (letterbox)"
    for command in (
        ["doctor", *words],
        ["assign", *words, "--strategy", "atss"],
        ["report", *words, "--out", str(tmp_path / "r.html")],
    ):
        assert run(command) == 0
        assert line in capsys.readouterr().err
    assert train(mini, tmp_path / "run", str(design), *other, "--stride", "32") == 0
    said = capsys.readouterr().err
    assert line in said
    assert f"{design} was designed for strides 16; here: 32" in said


def test_what_is_printed_for_yolov5_can_be_pasted_back(mini, design, tmp_path):
    made = json.loads(design.read_text())
    row = next(line for line in made["snippet"].splitlines() if line.lstrip().startswith("- ["))
    for text in (made["snippet"], row.strip()):
        words = ["--data", str(mini), "--detector", "yolov2", f"--anchors={text}", *SIZE]
        assert run(["doctor", *words]) == 0
        assert run(["assign", *words, "--strategy", "atss"]) == 0
        assert train(mini, tmp_path / "run", text, *SIZE, "--quiet") == 0
        for ours, theirs in zip(shapes_of(tmp_path / "run"), made["shapes"], strict=True):
            assert ours == pytest.approx(theirs, abs=0.06)


@pytest.mark.parametrize("command", ["design", "doctor", "assign", "train", "report"])
def test_presets_stand_in_the_help(command, capsys):
    assert run([command, "--help"]) == 0
    words = capsys.readouterr().out.replace("│", " ").split()
    assert {"yolov3_tiny,", "faster_rcnn_fpn,", "retinanet,"} <= set(words)


def test_a_run_is_told_by_its_lines_its_report_and_its_best_score(mini, tmp_path, capsys):
    """Without a terminal a line an epoch; the path of learned shapes; nothing above the limit."""
    out, page = tmp_path / "run", tmp_path / "r.html"
    more = ["--learn-anchors", "--warmup-steps", "3", "--lr", "0.05"]
    assert train(mini, out, "8x8,60x60", *SIZE, *more, epochs=3) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if ": epoch " in line]
    assert [line.split("epoch ")[1].split(",")[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert run(["report", "--run", str(out), "--out", str(page)]) == 0
    text = page.read_text()
    assert "Path of the shapes" in text
    assert "over 3 epochs and 6 steps" in text
    image = sorted((mini / "images").iterdir())[0]
    capsys.readouterr()
    assert run(["predict", str(out), str(image), "--min-score", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("0 detections of at least 1.0 in 1 image; the best score is 0.")
    assert f"in {image.name}); --min-score sets the limit" in said


def test_shapes_that_never_moved_have_no_path(mini, tmp_path):
    out, page = tmp_path / "run", tmp_path / "r.html"
    assert train(mini, out, "16x16,40x40", *SIZE, "--quiet") == 0
    assert run(["report", "--run", str(out), "--out", str(page)]) == 0
    assert "Path of the shapes" not in page.read_text()
