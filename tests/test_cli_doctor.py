"""The commands design, doctor and report as a user types them."""

import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from kedge.cli import run
from kedge.data import toy

KEYS = {
    "check",
    "severity",
    "symptom",
    "evidence",
    "cause",
    "cure",
    "predicted",
    "unpredicted",
}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Sixty drawn images of 128 x 160, as a COCO folder."""
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=60, val=6, size=(128, 160))


def fails(capsys, *words):
    capsys.readouterr()
    assert run(words) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    return said


def test_doctor_of_data_alone(mini, tmp_path, capsys):
    out = tmp_path / "findings.json"
    assert run(["doctor", "--data", str(mini), "--json", str(out), "--strict"]) == 0
    said = capsys.readouterr().out
    assert "60 images" in said
    assert "Anchors were not looked at" in said
    found = json.loads(out.read_text())
    assert isinstance(found, list)
    assert {key for row in found for key in row} == KEYS
    assert {row["severity"] for row in found} <= {"warning", "note"}


def test_doctor_of_anchors_and_its_page(mini, tmp_path, capsys):
    out, page = tmp_path / "f.json", tmp_path / "d.html"
    words = ["doctor", "--data", str(mini), "--detector", "yolov2", "--image-size", "128", "160"]
    words += ["--anchors", "200x200,210x210,220x220,230x230,240x240"]
    assert run([*words, "--json", str(out), "--html", str(page), "--strict"]) == 1
    found = {row["check"]: row for row in json.loads(out.read_text())}
    short = found["poorly_covered"]
    assert short["severity"] == "error"
    assert short["predicted"]["covered_after"] > 0.5
    assert "smaller than every anchor" in short["cause"]
    assert short["cure"].startswith(f"kedge design {mini}")
    text = page.read_text()
    assert len(text) < 3_000_000
    for title in ("Findings", "Objects and shapes", "Coverage", "Positives", "Images"):
        assert f">{title}<" in text
    assert "http" not in text.split("<main")[-1].split("<script")[0]
    capsys.readouterr()


def test_the_printed_cure_is_a_command_that_runs(mini, tmp_path, capsys):
    out = tmp_path / "f.json"
    words = ["doctor", "--data", str(mini), "--detector", "yolov2", "--image-size", "160"]
    assert run([*words, "--anchors", "2x2,3x3,4x4,5x5,6x6", "--json", str(out)]) == 0
    found = {row["check"]: row for row in json.loads(out.read_text())}
    cure = found["poorly_covered"]["cure"].splitlines()[0].split()
    assert cure[:2] == ["kedge", "design"]
    assert run([*cure[1:], "--restarts", "4", "--no-curve"]) == 0
    assert "mean best IoU" in capsys.readouterr().out


def test_doctor_of_a_configuration(mini, tmp_path, capsys):
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{source: {mini}, image_size: [128, 160]}}\nmodel: {{anchor_scale: 0.1}}\n"
    )
    out = tmp_path / "f.json"
    assert run(["doctor", "--config", str(config), "--json", str(out)]) == 0
    found = {row["check"]: row for row in json.loads(out.read_text())}
    assert "another scale" in found["far_regression_targets"]["cause"]
    assert "--anchor-scale 1" in found["poorly_covered"]["cure"]
    config.write_text(f"data: {{source: {mini}, image_size: [128, 160]}}\n")
    assert run(["doctor", "--config", str(config), "--json", str(out), "--strict"]) == 0
    assert "128 x 160" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["doctor", "report", "design"])
def test_what_cannot_be_read_is_said_in_one_line(command, tmp_path, capsys):
    word = [] if command == "design" else ["--data"]
    said = fails(capsys, command, *word, str(tmp_path / "nowhere"))
    assert "nowhere: does not exist" in said


def test_words_that_contradict_each_other(mini, capsys):
    said = fails(capsys, "doctor", "--data", str(mini), "--detector", "yolov2", "--run", "x")
    assert "exclude each other" in said
    assert "say which data set" in fails(capsys, "doctor")
    assert "--anchors goes with" in fails(capsys, "doctor", "--data", "toy", "--anchors", "ssd300")
    assert "holds no run" in fails(capsys, "doctor", "--run", str(mini))


def test_a_data_set_without_an_object_or_an_image(tmp_path, capsys):
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    whole = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}
    (tmp_path / "train.json").write_text(json.dumps(whole))
    page, out = tmp_path / "r.html", tmp_path / "f.json"
    words = ["--data", str(tmp_path), "--detector", "retinanet"]
    assert run(["doctor", *words, "--strict", "--json", str(out), "--html", str(page)]) == 1
    assert [row["check"] for row in json.loads(out.read_text())] == ["empty_data"]
    assert run(["report", *words, "--out", str(page)]) == 0
    assert "hold no object" in page.read_text()
    assert "nothing to design" in fails(capsys, "design", str(tmp_path))
    assert "nothing to assign" in fails(capsys, "assign", *words)
    (tmp_path / "train.json").write_text(json.dumps(whole | {"images": []}))
    for command in ("doctor", "report", "assign"):
        assert "holds no image" in fails(capsys, command, *words)


def test_report(mini, tmp_path, capsys):
    page = tmp_path / "report.html"
    words = ["--data", str(mini), "--image-size", "128", "160", "--out", str(page)]
    assert run(["report", *words, "--detector", "yolov2"]) == 0
    assert "yolov2 with its published anchors" in capsys.readouterr().out
    text = page.read_text()
    for title in ("At a glance", "Objects and shapes", "Coverage", "Positives", "Images"):
        assert f">{title}<" in text
    assert text.count("data:image/webp") == 8


def test_design_a_data_set(mini, tmp_path, capsys):
    out, page = tmp_path / "out.json", tmp_path / "d.html"
    words = ["design", str(mini), "--k", "6", "--image-size", "128", "160", "--restarts", "4"]
    words += ["--strides", "8", "16", "--for", "yolov5"]
    assert run([*words, "--json", str(out), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "anchors:\n  - [" in said
    assert "The curve bends at" in said or "<- knee" in said
    made = json.loads(out.read_text())
    assert {"shapes", "mean_best_iou", "bpr", "seconds", "verdict", "snippet"} <= set(made)
    assert len(made["shapes"]) == 6
    assert [len(level["shapes"]) for level in made["levels"]] == [3, 3]
    assert made["mean_best_iou"] > 0.6
    assert "How many" in page.read_text()


def test_design_says_keep_what_you_have(mini, tmp_path, capsys):
    """Shapes that this very search found cannot be beaten on images held out."""
    out = tmp_path / "out.json"
    words = ["design", str(mini), "--k", "5", "--image-size", "128", "160", "--no-curve"]
    assert run([*words, "--json", str(out)]) == 0
    listed = ",".join(f"{w}x{h}" for w, h in json.loads(out.read_text())["shapes"])
    assert run([*words, "--in-use", listed, "--json", str(out)]) == 0
    verdict = json.loads(out.read_text())["verdict"]
    assert verdict["in_use"]
    assert verdict["keep"] == "in use"
    assert "Keep what you have" in capsys.readouterr().out


def test_design_of_a_table(tmp_path, capsys):
    rng = np.random.default_rng(0)
    side = rng.uniform(10, 90, (200, 2))
    rows = ["image_id,x,y,w,h,width,height"]
    rows += [f"{i // 5},1,2,{w:.1f},{h:.1f},300,200" for i, (w, h) in enumerate(side)]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    quick = ["--k", "3", "--restarts", "4", "--no-curve", "--no-compare"]
    assert run(["design", str(tmp_path / "boxes.csv"), *quick]) == 0
    assert "200 boxes in 40 images" in capsys.readouterr().out
    assert "without splits" in fails(
        capsys, "design", str(tmp_path / "boxes.csv"), "--split", "val"
    )


def test_design_refuses_what_a_framework_cannot_have(mini, capsys):
    said = fails(capsys, "design", str(mini), "--k", "8", "--for", "torchvision")
    assert "choose --k 9" in said
    said = fails(capsys, "design", str(mini), "--image-size", "1", "2", "3")
    assert "--image-size: expected a side" in said


def test_design_takes_its_own_words_back(mini, tmp_path, capsys):
    """What it printed for YOLOv5 and darknet, a line of it, and the file that it wrote."""
    out, again = tmp_path / "design.json", tmp_path / "again.json"
    words = ["design", str(mini), "--image-size", "128x160", "--restarts", "1", "--no-curve"]
    for framework in ("yolov5", "darknet"):
        assert run([*words, "--k", "4", "--strides", "8", "16", "--for", framework,
                    "--json", str(out)]) == 0  # fmt: skip
        made = json.loads(out.read_text())
        assert made["image_size"] == [128, 160]
        printed = made["snippet"]
        line = next(row for row in printed.splitlines() if "," in row and row[0] != "#")
        for text in (printed, line, str(out)):
            assert run([*words, "--k", "2", "--in-use", text, "--json", str(again)]) == 0
            verdict = json.loads(again.read_text())["verdict"]
            assert verdict["in_use"]
    capsys.readouterr()
    assert "no such file" in fails(capsys, *words, "--in-use", str(tmp_path / "none.json"))
    assert "--in-use" in fails(capsys, *words, "--in-use", "yolov9")
    assert "--baselines" in fails(capsys, *words, "--baselines", "yolov9")
    said = fails(capsys, "design", str(mini), "--image-size", "640x")
    assert "--image-size: expected a side" in said
    assert run(["design", "--help"]) == 0
    assert "yolov3_tiny" in capsys.readouterr().out


def test_design_takes_as_many_shapes_as_the_curve_bends_at(mini, tmp_path, capsys):
    out = tmp_path / "out.json"
    words = ["design", str(mini), "--image-size", "128", "160", "--restarts", "2", "--no-compare"]
    assert run([*words, "--k", "auto", "--resize", "stretch", "--json", str(out)]) == 0
    made = json.loads(out.read_text())
    assert len(made["shapes"]) == made["curve"]["k"]
    assert made["resize"] == "stretch"
    assert "stretched to 128 x 160" in capsys.readouterr().out


def test_a_design_waits_for_no_library_that_it_does_not_need():
    """torchvision alone takes as long to load as a design to make."""
    heavy = ("torchvision", "lightning", "polars", "plotly", "pydantic")
    code = (
        "import sys, kedge.commands.design, kedge.design.source, kedge.interop.design_snippet\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_data_set_is_said_without_torch():
    """`kedge data` and `--help` answer before torch would be loaded."""
    code = (
        "import sys, kedge.commands.data, kedge.data, kedge.commands.doctor, kedge.commands.train\n"
        "print([m for m in ('torch', 'torchvision', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_design_of_a_pyramid(mini, tmp_path, capsys):
    out, page = tmp_path / "d.json", tmp_path / "d.html"
    words = ["design", str(mini), "--layout", "pyramid", "--image-size", "128", "160"]
    words += ["--scales", "2", "--ratios", "1", "--strides", "8", "16", "--restarts", "8"]
    words += ["--for", "torchvision", "--json", str(out), "--html", str(page)]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "aspect_ratios=(H_OVER_W,) * 2" in said
    found = json.loads(out.read_text())
    assert len(found["shapes"]) == 4
    assert {"sizes", "scales", "h_over_w"} == set(found["pyramid"])
    space: dict = {}
    exec(found["snippet"], space)
    assert space["anchor_generator"].num_anchors_per_location() == [2, 2]
    assert "size at stride 8" in page.read_text()
    assert "go with --layout pyramid" in fails(capsys, "design", str(mini), "--scales", "2")
    assert "leave out --k" in fails(capsys, "design", str(mini), "--layout", "pyramid", "--k", "9")


@pytest.mark.parametrize("name", ["bccd", "coco_permissive"])
def test_real_data_from_folder_to_snippet(name, shared_data, capsys):
    folder = shared_data / name
    if not folder.is_dir():
        pytest.skip(f"{name} is missing")
    words = ["design", str(folder), "--restarts", "4", "--no-curve", "--for", "torchvision"]
    assert run(words) == 0
    assert "AnchorGenerator" in capsys.readouterr().out
    assert run(["doctor", "--data", str(folder), "--detector", "yolov2"]) == 0
    assert "poorly_covered" in capsys.readouterr().out


def test_a_folder_of_tables_without_a_training_split(shared_data, capsys):
    folder = shared_data / "taco_boxes"
    if not folder.is_dir():
        pytest.skip("taco_boxes is missing")
    assert run(["doctor", "--data", str(folder)]) == 0
    assert "official: 1,500 images" in capsys.readouterr().out
    assert run(["doctor", "--data", str(folder), "--split", "unofficial", "--strict"]) == 1
    assert "nan_boxes" in capsys.readouterr().out
