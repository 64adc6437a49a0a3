"""What Kedge says about torchvision's models: explain, and the doctor's setup."""

import re
import sys

import pytest
import torch
from interop.tv_models import assert_equal, batch, model, step
from torch import nn

from kedge import ATSS, FCOS, TAL, MaxIoU, SSDMatch, Targets
from kedge.cli import run
from kedge.data import toy
from kedge.interop.doctor_model import setup_of_model
from kedge.interop.torchvision import explain
from kedge.interop.torchvision.setup import setup_of

RULES = {"retinanet": MaxIoU, "fcos": FCOS, "ssd": SSDMatch, "faster_rcnn": MaxIoU}


@pytest.mark.parametrize("name", RULES)
def test_the_report_of_a_batch(name):
    given = model(name)
    images, targets = batch()
    state = {key: value.clone() for key, value in given.state_dict().items()}
    before = step(given, images, targets)
    found = explain(given, images, targets)
    assert type(found.rule) is RULES[name]
    assert found.report.objects == 23
    assert found.report.images == 4
    assert str(found).startswith(RULES[name].__name__)
    assert found.pixels.shape[:2] == (4, 3)
    assert -0.001 <= float(found.pixels.amin()) <= float(found.pixels.amax()) <= 1.001
    assert found.picture(0).size[0] > 0
    with pytest.raises(ValueError, match="image 4: the batch has 4 images"):
        found.picture(4)
    assert all(torch.equal(state[key], value) for key, value in given.state_dict().items())
    assert all(module.training for module in given.modules())
    assert_equal(step(given, images, targets), before)


def test_the_part_of_an_image_is_what_the_rule_makes_of_it_alone():
    given = model("retinanet")
    found = explain(given, *batch())
    whole = found.assignment
    for image in (0, 1, 2):
        part = found.of_image(image)
        boxes = whole.targets.boxes[whole.targets.image == image]
        alone = found.rule(whole.anchors, Targets.from_list([{"boxes": boxes}]))
        assert torch.equal(part.dense(), alone.dense())


def test_another_strategy_can_be_tried():
    assert explain(model("retinanet"), *batch(), strategy=TAL()).rule == TAL()
    assert explain(model("faster_rcnn"), *batch(), strategy=ATSS()).rule == ATSS()


@pytest.mark.parametrize("name", ["retinanet", "ssd", "faster_rcnn"])
def test_the_setup_is_what_training_uses(name):
    given = model(name)
    images, targets = [torch.rand(3, 64, 96)], batch()[1][2:3]
    anchors = explain(given, images, targets).assignment.anchors
    found = setup_of(given, (64, 96))
    torch.testing.assert_close(found.grid.boxes(), anchors.boxes())
    assert type(found.assign) is RULES[name]
    assert found.title == f"torchvision's {type(given).__name__}"
    assert found.most == getattr(given, "roi_heads", given).detections_per_img


def test_the_doctor_looks_at_a_model(tmp_path, monkeypatch, capsys):
    toy.write(tmp_path / "data", train=6, val=2, size=(64, 96))
    (tmp_path / "my_tv_model.py").write_text(
        "from interop.tv_models import retinanet\n"
        "def make(): return retinanet()\n"
        "def fails(): raise RuntimeError('no weights')\n"
        "nothing = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["doctor", "--data", "data", "--image-size", "64", "96", "--model", "my_tv_model:make"]
    assert run(words) == 0
    assert "torchvision's RetinaNet" in capsys.readouterr().out
    assert run([*words, "--detector", "retinanet"]) == 2
    assert "--model goes without" in capsys.readouterr().err
    for text, what in (
        ("my_tv_model", "expected module:function"),
        ("my_tv_model:absent", "no attribute 'absent'"),
        ("absent_module:make", "No module named 'absent_module'"),
        ("my_tv_model:fails", r"fails: RuntimeError: no weights \(.*my_tv_model.py, line 3\)"),
    ):
        with pytest.raises(ValueError, match=what):
            setup_of_model(text, (64, 96))
    sys.modules.pop("my_tv_model")


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("def make(:", r"SyntaxError: .*broken_model.py, line 1"),
        ("import json\n\njson.loads('[')", r"JSONDecodeError: .*broken_model.py, line 3\)"),
        ("import sys\nsys.exit('no GPU')", r"SystemExit: no GPU \(.*broken_model.py, line 2\)"),
        ("import nowhere", r"ModuleNotFoundError: No module named 'nowhere' \(.*, line 1\)"),
    ],
)
def test_a_model_whose_import_fails_is_named_with_the_line(
    code, what, tmp_path, monkeypatch, capsys
):
    (tmp_path / "broken_model.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "toy", "--model", "broken_model:make"]) == 2
    assert re.search(f"--model: broken_model:make fails: {what}", capsys.readouterr().err)


def test_a_model_may_import_from_its_folder_while_it_is_made(tmp_path, monkeypatch):
    (tmp_path / "late_part.py").write_text("from interop.tv_models import retinanet")
    (tmp_path / "late_model.py").write_text(
        "def make():\n    from late_part import retinanet\n    return retinanet()\n"
    )
    monkeypatch.chdir(tmp_path)
    paths = list(sys.path)
    assert setup_of_model("late_model:make", (64, 96)).title == "torchvision's RetinaNet"
    assert sys.path == paths
    for name in ("late_model", "late_part"):
        sys.modules.pop(name)


def test_models_without_such_anchors_are_refused():
    with pytest.raises(ValueError, match="FCOS holds no RetinaNet, SSD or R-CNN"):
        setup_of(model("fcos"), (64, 96))
    with pytest.raises(ValueError, match="Linear holds no"):
        setup_of(nn.Linear(1, 1), (64, 96))
