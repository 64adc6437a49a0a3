"""The code of the documents runs, and what it prints is what they say."""

import contextlib
import io
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from kedge.detectors import DETECTORS

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str = "python") -> list[str]:
    """The fenced code of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.M | re.S)
    return [textwrap.dedent(code) for _, code in found]


def execute(code: str, names: dict[str, Any]) -> None:
    """Runs a block. Where it says what it prints (``print(...)  # this``), it prints just that."""
    said = re.findall(r"^print\(.*\)  # (.+)$", code, re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "<block>", "exec"), names)
    if said:
        assert printed.getvalue().splitlines() == said


def iou(a, b):
    from torchvision.ops import box_iou

    return box_iou(a, b)


def test_the_own_loop_trains_and_finds_the_objects():
    first, second, third = blocks("docs/own-loop.md")
    assert 50 <= len([line for line in first.splitlines() if line.strip()]) <= 70
    names: dict[str, Any] = {}
    execute(first, names)
    assert float(names["loss"].detach()) < 1.0  # 3.5 at the start
    torch.manual_seed(1)
    images, truth = names["batch"](32)
    hit = total = 0
    for image, target in zip(images, truth):
        boxes, labels, scores = names["detect"](image)
        boxes, labels = boxes[scores > 0.15], labels[scores > 0.15]
        for box, label in zip(target["boxes"], target["labels"]):
            total += 1
            hit += bool((iou(box[None], boxes[labels == label]) > 0.5).any())
    assert hit / total > 0.8  # objects hide one another: not all can be found
    execute(second, names)
    assert len(names["found"].to_list()) == 6
    execute(third, names)
    assert names["ap"] > 0.1
    assert names["picture"].size == (960, 720)  # 128 x 96 is drawn enlarged


def test_a_stage_is_the_same_loss():
    first, second, _ = blocks("docs/own-loop.md")
    names: dict[str, Any] = {}
    execute(first.replace("range(100)", "range(1)"), names)
    execute(second, names)
    images, truth = names["batch"](3)
    names["model"].eval()
    targets = names["Targets"].from_list(truth)
    losses, assignment, _ = names["stage"](names["predictions_of"](images), targets)
    own = names["loss_of"](*names["model"](images), assignment)
    torch.testing.assert_close(sum(losses.values()), own, rtol=1e-5, atol=0)


def test_the_rows_of_concepts_are_as_printed():
    execute(blocks("docs/concepts.md")[0], {})


def test_the_first_example_of_the_readme_prints_what_it_says():
    execute(blocks("README.md")[0], {})


@pytest.fixture
def names(monkeypatch, tmp_path) -> dict[str, Any]:
    """What the shorter examples take for given."""
    from PIL import Image

    import kedge
    from kedge.types import Predictions

    grid = kedge.Grid(image_size=(96, 128), levels=[kedge.Level(stride=16, shapes=[(32, 32)])])
    boxes, labels = torch.tensor([[10.0, 10, 60, 50]]), torch.tensor([1])
    targets = [{"boxes": boxes, "labels": labels}] * 2
    codes = torch.zeros(2, len(grid), 4)
    predictions = Predictions.from_dense(
        torch.zeros(2, len(grid), 3), codes, grid, kedge.DeltaCoder()
    )
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (100, 80)).save("image.jpg")
    monkeypatch.setattr(kedge, "load", lambda path: kedge.YOLOv2(num_classes=3))
    return {name: getattr(kedge, name) for name in kedge.__all__} | {
        "boxes": boxes,
        "labels": labels,
        "images": torch.rand(2, 3, 96, 128),
        "grid": grid,
        "targets": targets,
        "packed": kedge.Targets.from_list(targets),
        "predictions": predictions,
        "coder": kedge.DeltaCoder(),
        "object_boxes": boxes,
        "index": torch.tensor([3]),
    }


def test_the_detectors_of_the_readme_train_load_and_predict(names):
    execute(blocks("README.md")[1], names)
    assert names["losses"].keys() >= {"classification", "box"}
    assert len(names["detections"]) == 2
    assert Path("out.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("page", "number"),
    [("docs/concepts.md", 1), ("docs/strategies.md", 0), ("docs/learned-anchors.md", 0)],
)
def test_the_other_examples_run(page, number, names):
    if page == "docs/strategies.md":
        names["targets"] = names["packed"]
    execute(blocks(page)[number], names)


INSIDE = "docs/inside-other-frameworks.md"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_recipes_for_torchvision(number, names):
    """The others need the other frameworks: tests/parity runs them."""
    from interop.tv_models import batch, model

    images, targets = batch()
    names |= {"model": model("retinanet"), "images": images, "targets": targets}
    execute(blocks(INSIDE)[number], names)
    if number == 3:
        assert Path("matched.png").stat().st_size > 0


def test_the_check_of_the_doctors_page_finds_something(names, capsys):
    from kedge.data import toy

    toy.write(Path("DIR"), train=6, val=2, size=(64, 96))
    execute(blocks("docs/doctor.md")[0], names)
    assert names["finding"].symptom


def test_the_example_of_the_live_page_runs(tmp_path, monkeypatch):
    pytest.importorskip("anywidget")
    monkeypatch.chdir(tmp_path)
    execute(blocks("docs/live.md")[0], {})
    assert Path("view.html").stat().st_size > 10_000


def test_the_example_of_torchvision_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(blocks("docs/torchvision.md")[0], {})


def test_the_strategy_of_contributing_chooses_what_it_says(names):
    """The anchors whose centre is inside the object; the smallest object wins."""
    from dataclasses import dataclass

    from kedge.boxes import area

    names |= {"dataclass": dataclass, "torch": torch, "area": area}
    execute(blocks("CONTRIBUTING.md")[0], names)
    small, large = [20.0, 20, 60, 60], [0.0, 0, 96, 96]
    targets = names["Targets"].from_list([{"boxes": torch.tensor([large, small])}])
    assignment = names["CentreOnly"]()(names["grid"], targets)
    table = assignment.dense().view(6, 8)
    assert (table[:, 6:] == -1).all()  # centres of cells lie at 8, 24, 40, ...
    assert (table[1:4, 1:4] == 1).all()
    assert (table == 1).sum() == 9
    assert (table == 0).sum() == 36 - 9


def test_the_page_of_detectors():
    (code,) = blocks("docs/detectors.md")
    targets = [{"boxes": torch.tensor([[9.0, 9, 60, 50]]), "labels": torch.tensor([1])}]
    names = {"images": [torch.rand(3, 64, 96)], "targets": targets}
    execute(code.replace(', backbone="resnet50"', ""), names)  # which takes a while
    assert all(torch.isfinite(loss) for loss in names["losses"].values())
    tables = (ROOT / "docs/detectors.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.M)) == set(DETECTORS)


def test_the_page_about_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    statistics, plain, keras, cached = blocks("docs/scale.md")
    names: dict[str, Any] = {}
    execute(statistics, names)
    assert (
        "1,817 boxes in 1 shard"
        in names["design_statistics"](names["counted"], names["settings"]).text()
    )
    execute(plain, names)
    assert torch.isfinite(names["loss"])
    execute(cached, names)
    assert len(list(names["batches"])) == 13
    assert len(list(Path("assigned").rglob("*.safetensors"))) > 90
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    execute(keras, names)


def test_every_block_of_python_is_run_here():
    count = {"README.md": 2, "CONTRIBUTING.md": 1, "docs/own-loop.md": 3, "docs/concepts.md": 2}
    count |= {"docs/strategies.md": 1, "docs/learned-anchors.md": 1, "docs/doctor.md": 1}
    count |= {"docs/torchvision.md": 1, "docs/detectors.md": 1, "docs/scale.md": 4}
    count |= {"docs/live.md": 1}
    count[INSIDE] = 9
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    found = {str(page.relative_to(ROOT)): len(blocks(str(page))) for page in pages}
    assert {page: number for page, number in found.items() if number} == count


def test_the_training_file_of_the_readme_makes_that_detector(tmp_path):
    from kedge.train.config import load_config
    from kedge.train.make_detector import make_detector

    (text,) = blocks("README.md", "yaml")
    assert set(yaml.safe_load(text)) == {"data", "model", "schedule", "output"}
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(tmp_path / "c.yaml")
    assert (config.data, config.image_size, config.epochs) == ("path/to/data", (480, 640), 40)
    detector = make_detector(config, 3)
    assert (detector.assign.k, detector.coder.reg_max, detector.selection.score) == (10, 8, 0.01)
    images = [torch.rand(3, 64, 96)]
    losses = detector(
        images, [{"boxes": torch.tensor([[9.0, 9, 60, 50]]), "labels": torch.tensor([1])}]
    )
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_every_command_in_the_documents_is_understood():
    from kedge.cli import app

    seen = 0
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for code in [*blocks(str(page), "bash"), *blocks(str(page), "sh")]:
            for line in code.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["kedge"]:
                    app.parse_args(words[1:], exit_on_error=False, print_error=False)
                    seen += 1
    assert seen >= 20


def test_the_rooms_of_the_documents_are_the_real_ones_in_order():
    from test_imports import ORDER

    rooms = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert rooms == ORDER
    picture = next(block for block in blocks("README.md", "") if "kedge/anchors/" in block)
    shown = re.findall(r"(?:kedge/| )(\w+)(?:/|\.py)(?= |$)", picture, re.M)
    assert shown == ORDER


def test_every_page_is_in_the_list():
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert {name for entry in nav for name in entry.values()} == pages
    index, readme = (ROOT / "docs/index.md").read_text(), (ROOT / "README.md").read_text()
    for name in pages - {"index.md"}:
        assert f"]({name})" in index
        assert f"](docs/{name}" in readme
