"""The cache where a user stands: kedge train --assign-cache, kedge assign --cache."""

import io
import re

import pytest
import torch
from rich.console import Console

from kedge.cli import run
from kedge.data import read, toy
from kedge.train.config import TrainConfig
from kedge.train.make_detector import make_detector
from kedge.train.module import DetectionModule
from kedge.train.run import train
from kedge.train.saved import load_run


def settings(out, **changes) -> TrainConfig:
    given = {
        "data": "toy", "train_split": "val", "eval_split": "val", "image_size": (128, 160),
        "detector": "retinanet", "anchors": "identical", "num_anchors": 1, "epochs": 1,
        "batch_size": 25, "scale": (1, 1), "flip": 0, "colour": 0, "seed": 0, "out": out,
    }  # fmt: skip
    return TrainConfig(**(given | changes))


@pytest.mark.slow
def test_a_training_with_a_cache_is_the_training_without(tmp_path):
    """The second epoch, and the second training, find what the first has computed."""
    cache = tmp_path / "kept"
    data = str(toy.write(tmp_path / "mini", train=1, val=20, size=(128, 160)))
    few = {"data": data, "batch_size": 10, "epochs": 2}
    plain = train(settings(tmp_path / "plain", **few))
    said = []
    for name in ("first", "second"):
        console = Console(file=io.StringIO(), width=200)
        cached = train(settings(tmp_path / name, assign_cache=cache, **few), console=console)
        said.append(console.file.getvalue())
        one, other = (load_run(run.out).detector.state_dict() for run in (plain, cached))
        assert all(torch.allclose(one[key], other[key], atol=1e-4) for key in one)
    empty = sum(len(record.boxes) == 0 for record in read(data, "val").records)
    first, second = (re.search(r"assign_cache: (\d+) of 40 answers", text) for text in said)
    assert first is not None
    assert 20 <= int(first[1]) <= 20 + empty
    assert second is not None
    assert int(second[1]) == 40


def counts_of(out: str) -> list[list[str]]:
    """The rows of the table, without the time."""
    rows = [line.split()[:6] for line in out.splitlines() if "%)" in line]
    assert rows
    return rows


def test_the_command_keeps_the_rules_of_geometry(tmp_path, capsys):
    words = ["assign", "--data", "toy", "--split", "val", "--strategy", "max_iou,tal"]
    words += ["--image-size", "128", "--cache", str(tmp_path)]
    assert run(words) == 0
    first = capsys.readouterr()
    assert run(words) == 0
    second = capsys.readouterr()
    assert "max_iou: 100 of 100 answers were there already" in second.err
    assert "max_iou: 100 of 100" not in first.err
    assert "tal: " not in second.err  # it reads predictions
    assert counts_of(first.out) == counts_of(second.out)


def test_the_command_asks_the_rules_not_their_names_what_can_be_kept(tmp_path, capsys):
    words = ["assign", "--data", "toy", "--split", "val", "--images", "2", "--image-size", "128"]
    words += ["--strategy", "MaxIoU,max-iou:guarantee=true,by_nwd,ranked,uniform,atss:alpha=0.8"]
    assert run([*words, "--cache", str(tmp_path)]) == 0
    said = capsys.readouterr()
    for name in ("MaxIoU", "max-iou:guarantee=true", "by_nwd", "ranked", "uniform"):
        assert f"{name}: 0 of 2 answers were there already" in said.err
    assert "atss:alpha=0.8: ATSS needs predictions" in " ".join(said.out.split())


@pytest.mark.slow
def test_the_command_keeps_nothing_that_reads_the_predictions_of_a_run(tmp_path, capsys):
    data = str(toy.write(tmp_path / "mini", train=1, val=2, size=(128, 160)))
    train(settings(tmp_path / "run", data=data, batch_size=1))
    words = ["assign", "--data", data, "--run", str(tmp_path / "run"), "--split", "val"]
    words += ["--strategy", "atss,atss:alpha=0.8,uniform,yolov3"]
    assert run(words) == 0
    plain = counts_of(capsys.readouterr().out)
    assert run([*words, "--cache", str(tmp_path / "kept")]) == 0
    said = capsys.readouterr()
    assert counts_of(said.out) == plain
    assert "atss: 0 of 2 answers" in said.err
    for name in ("atss:alpha=0.8", "uniform", "yolov3"):
        assert f"{name}: reads predictions, so nothing of it is kept" in said.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learn_anchors": True}, "assign_cache: shapes that are learned"),
        ({"detector": "tood"}, "assign_cache: TAL.* chooses by predictions"),
        ({"detector": "yolov1"}, "assign_cache: BestPredictionInCell.* chooses by predictions"),
        ({"detector": "yolov2"}, "assign_cache: BestInCell.* chooses by predictions"),
        ({"detector": "yolof"}, "assign_cache: Uniform.* chooses by predictions"),
        ({"assign": "uniform:guarantee=true"}, "assign_cache: Guaranteed.* chooses by predictions"),
        ({"detector": "ga_retinanet"}, "ga_retinanet has no fixed anchors to assign"),
        ({"detector": "fast_rcnn"}, "fast_rcnn has no fixed anchors to assign"),
        ({"detector": "cornernet"}, "cornernet has no fixed anchors to assign"),
    ],
)
def test_a_training_that_cannot_use_it_says_so_before_it_starts(changes, message, tmp_path):
    config = settings(tmp_path / "run", assign_cache=tmp_path / "kept", **changes)
    detector = make_detector(config, 3, None)
    with pytest.raises(ValueError, match=message):
        DetectionModule(detector, config, total_steps=10)
