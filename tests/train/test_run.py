"""Whole runs on a handful of drawn images: repeatable, resumable, and honest about failure."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from fuzz.sets import SETS
from safetensors.torch import load_file
from torchvision import models
from torchvision.models._api import WeightsEnum

from kedge.data import read
from kedge.data.sources import training_split
from kedge.doctor import open_context
from kedge.files import read_lines
from kedge.live.opening import open_source
from kedge.predict.detect import detect
from kedge.predict.score import score
from kedge.train.config import load_config, make_config, save_config
from kedge.train.module import DetectionModule
from kedge.train.result import load_result
from kedge.train.run import read_splits, train
from kedge.train.saved import load_run

LEARNED = {"learn_anchors": True, "anchors": "identical", "warmup_steps": 3, "ema": 0.9}


def weights(config):
    return (config.out / "model.safetensors").read_bytes()


def test_a_run_leaves_weights_scores_shapes_and_losses(settings):
    config = settings(**LEARNED, eval_every=1, epochs=3)
    result = train(config)
    assert result.finished
    assert result.steps == 6
    assert 0 <= result.scores["AP"] <= result.scores["AP50"] <= 1
    assert [s.name for s in result.stations] == ["initial", "after warm-up", "final", "k-means"]
    assert result.station("initial").shapes == [[80.0, 80.0]] * 5
    assert result.station("final").mean_best_iou > result.station("initial").mean_best_iou
    assert load_result(config.out / "run.json") == result
    rows = read_lines(config.out / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row["positives"] >= row["answered"] > 0 for row in rows)
    assert [row["epoch"] for row in read_lines(config.out / "scores.jsonl")] == [1, 2, 3]
    shapes = read_lines(config.out / "shapes.jsonl")
    assert [row["stage"] for row in shapes[:4]] == ["initial", "warmup", "warmup", "warmup"]
    assert shapes[-1]["epoch"] == 3
    assert not list(config.out.glob(".*.part"))


def test_a_loaded_run_detects_as_the_run_did(settings):
    config = settings(**LEARNED)
    result = train(config)
    run = load_run(config.out)
    data = read(config.data, "val")
    again = score(detect(run.detector, data, (64, 96)), data)
    assert again["AP50"] == result.scores["AP50"]
    assert run.detector.shapes.shapes.tolist() == result.shapes


def test_mal_keeps_fewer_anchors_from_step_to_step(settings):
    one = "32x32,64x64,128x128,256x256,512x512"  # a square on each of RetinaNet's levels
    config = settings(detector="retinanet", assign="mal", anchors=one, epochs=4)
    train(config)
    rows = read_lines(config.out / "metrics.jsonl")
    kept = [row["positives"] / row["objects"] for row in rows]
    assert len(kept) == 8  # progress 0, 1/8 .. 7/8: bags of 50, then 44 .. 7 at most
    assert all(later < earlier for earlier, later in itertools.pairwise(kept))
    assert kept[-1] < 8


def test_fixed_shapes_do_not_move(settings):
    result = train(settings(anchors="20x10,40x40"))
    assert result.station("final").shapes == result.station("initial").shapes
    assert torch.tensor(result.shapes).allclose(torch.tensor([[20.0, 10.0], [40.0, 40.0]]))


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(settings, tmp_path):
    one = settings(**LEARNED, out=tmp_path / "one")
    two = settings(**LEARNED, out=tmp_path / "two", workers=2)
    other = settings(**LEARNED, out=tmp_path / "other", seed=1)
    for config in (one, two, other):
        train(config)
    assert weights(one) == weights(two)
    assert weights(one) != weights(other)


PYRAMID = {"warmup": "placed", "detector": "ssd", "anchors": "identical", "num_anchors": 2}


@pytest.mark.parametrize(
    "warmup", [{"warmup": "annealed"}, {"warmup": "gradient"}, {"warmup": "placed"}, PYRAMID]
)
def test_a_run_stopped_after_any_epoch_resumes_to_the_same_bytes(settings, tmp_path, warmup):
    """Stopped in the third epoch; the warm-up of the shapes ends in the fourth."""
    common = LEARNED | {"warmup_steps": 7, "epochs": 5, "schedule": "cosine"} | warmup
    whole = settings(**common, out=tmp_path / "whole")
    train(whole)
    part = settings(**common, out=tmp_path / "part")

    step = DetectionModule.training_step

    def stop(self, batch, batch_idx):
        if self.global_step == 5:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectionModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(part)
    stopped = load_result(part.out / "run.json")
    assert not stopped.finished
    again = train(part, resume=True)
    assert again.seconds > stopped.seconds > 0  # of both parts
    assert weights(whole) == weights(part)
    for name in ("shapes.jsonl", "metrics.jsonl"):
        assert read_lines(whole.out / name) == read_lines(part.out / name)
    results = [load_result(config.out / "run.json") for config in (whole, part)]
    assert results[0].stations == results[1].stations


CODE = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from kedge.train.config import load_config
from kedge.train.run import train
train(load_config(sys.argv[1], {"out": Path(sys.argv[2])}), resume=True)
"""


def test_a_killed_process_resumes_to_the_same_bytes(settings, tmp_path):
    """SIGKILL in the middle of an epoch: nothing gets a chance to tidy up."""
    config = settings(**LEARNED, epochs=10)
    whole, part = tmp_path / "whole", tmp_path / "part"
    shutil.rmtree(config.out, ignore_errors=True)
    save_config(config, tmp_path / "c.yaml")
    train(config.model_copy(update={"out": whole}))
    command = [sys.executable, "-c", CODE, str(tmp_path / "c.yaml"), str(part)]
    killed = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and killed.poll() is None:
        rows = read_lines(part / "metrics.jsonl") if part.exists() else []
        if rows and rows[-1]["step"] >= 5 and rows[-1]["step"] % 2:  # an odd step: mid-epoch
            break
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL, "the run was over before it could be killed"
    assert (part / "last.ckpt").exists()
    train(config.model_copy(update={"out": part}), resume=True)
    assert (part / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_resuming_a_finished_run_returns_it_and_other_settings_are_refused(settings):
    config = settings()
    result = train(config)
    assert train(config, resume=True) == result
    with pytest.raises(ValueError, match=r"other settings \(lr [0-9.]+ -> 0.1\)"):
        train(settings(lr=0.1), resume=True)
    with pytest.raises(ValueError, match="holds a run; --resume goes on with it"):
        train(config)
    with pytest.raises(ValueError, match="--resume goes on with a run, --overwrite replaces it"):
        train(config, resume=True, overwrite=True)
    assert train(config, resume=True) == result


def test_data_that_were_moved_go_on_and_other_data_do_not(settings, tmp_path):
    config = settings()
    result = train(config)
    moved = tmp_path / "elsewhere"
    shutil.copytree(config.data, moved)
    cached = {"data": str(moved), "assign_cache": tmp_path / "answers"}
    assert train(config.model_copy(update=cached), resume=True) == result
    name = next(moved.rglob("*train*.json"))
    rows = json.loads(name.read_text())
    rows["annotations"][0]["bbox"][2] -= 1
    name.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"not the training split that the run in .* began with"):
        train(config.model_copy(update=cached), resume=True)


def test_a_mistake_that_shows_late_costs_no_run_that_is_there(settings, tmp_path):
    config = settings(**LEARNED)
    result = train(config)
    for change, said in (
        ({"assign_cache": tmp_path / "answers"}, "assign_cache: shapes that are learned"),
        ({"warmup_steps": 5000.0}, "warmup_steps: 5000 are more than"),
    ):
        wrong = config.model_copy(update=change)
        with pytest.raises(ValueError, match=said):
            train(wrong, overwrite=True)
        assert train(config, resume=True) == result
        with pytest.raises(ValueError, match=said):
            train(wrong.model_copy(update={"out": tmp_path / "new"}))
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "chosen",
    [
        {"detector": "faster_rcnn_c4", "backbone": "resnet18"},
        {"detector": "ssdlite", "backbone": "mobilenet_v3_large"},
    ],
)
def test_a_run_of_published_weights_opens_without_them(settings, monkeypatch, chosen):
    """They are downloaded once, and what is trained from them has their layers."""
    downloads = []

    def state(weights, *args, **kwargs):
        downloads.append(weights)
        return models.get_model(
            weights.__class__.__name__.removesuffix("_Weights").lower()
        ).state_dict()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", state)
    config = settings(**chosen, pretrained=True, epochs=1)
    train(config)
    assert len(downloads) == 1
    weights = load_file(config.out / "model.safetensors")
    loaded = load_run(config.out).detector.state_dict()
    assert len(downloads) == 1
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def test_layers_without_published_weights_say_so(settings):
    for detector in ("yolov2", "faster_rcnn_c4", "cornernet"):
        with pytest.raises(ValueError, match="no published weights of the backbone 'tiny'"):
            train(settings(detector=detector, pretrained=True))


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(settings):
    with pytest.raises(ValueError, match=r"step \d+: the loss is not finite \(.*nan"):
        train(settings(lr=1e18, grad_clip=0, epochs=20, lr_warmup=0, optimiser="sgd"))


def test_a_cut_off_checkpoint_is_named(settings):
    config = settings(epochs=3)
    train(config)
    longer = settings(epochs=4)
    last = config.out / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"last.ckpt: truncated, damaged or not a checkpoint"):
        train(longer, resume=True)


def test_tampered_shapes_are_refused(settings):
    config = settings()
    train(config)
    path = config.out / "run.json"
    values = json.loads(path.read_text())
    values["levels"][0]["shapes"][2][0] += 5
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"anchor shape 2 is .* the two files are not of the same"):
        load_run(config.out)
    del values["levels"][0]["shapes"][2]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"holds 5 anchor shapes, run.json speaks of 4"):
        load_run(config.out)


def test_retinanet_trains_with_learned_shapes_on_its_levels(settings):
    config = settings(detector="retinanet", anchors="kmeans", num_anchors=2, learn_anchors=True)
    result = train(config)
    assert [level["stride"] for level in result.levels] == [8, 16, 32, 64, 128]
    assert len(result.shapes) == 10
    load_run(config.out)


def test_a_run_that_never_began_is_not_in_the_way(settings):
    with pytest.raises(ValueError, match="say what to train on"):
        train(settings(data=""))
    assert not settings().out.exists()
    train(settings(epochs=1))


def test_data_must_be_named_and_hold_objects(settings, tmp_path):
    with pytest.raises(ValueError, match="say what to train on"):
        train(settings(data=""))
    with pytest.raises(ValueError, match=r"anchors: .*'nonesuch' is unknown"):
        train(settings(anchors="nonesuch", out=tmp_path / "b"))


@pytest.mark.parametrize("form", [form for form in SETS if form != "jsonl"])
def test_every_form_can_be_trained_on_with_and_without_splits(tmp_path, form):
    SETS[form](tmp_path)
    data, scored = read_splits(make_config({"data": str(tmp_path)}))
    assert (data.num_boxes, scored) == (4, None)
    assert data.split == (data.splits or (None,))[0]


def test_a_split_that_a_set_without_splits_does_not_have_is_an_error(tmp_path):
    SETS["kitti"](tmp_path)
    stated = {"data": str(tmp_path), "train_split": "train"}  # all of it
    assert read_splits(make_config(stated))[0].num_boxes == 4
    with pytest.raises(ValueError, match="has no splits: leave out split='val'"):
        read_splits(make_config(stated | {"train_split": "val"}))


def test_a_file_that_has_splits_is_asked_for_the_one_that_is_stated(tmp_path, mini):
    SETS["darknet"](tmp_path)
    (tmp_path / "valid.txt").write_text("data/obj_train_data/b.png\n")
    with (tmp_path / "obj.data").open("a") as said:
        said.write("valid = data/valid.txt\n")
    stated = {"data": str(tmp_path / "obj.data"), "train_split": "val"}
    assert len(read_splits(make_config(stated))[0]) == 1
    stated["data"] = str(mini / "train.json")
    with pytest.raises(ValueError, match="single file without splits: leave out split='val'"):
        read_splits(make_config(stated))
    assert training_split(str(mini), "val") == "val"
    assert training_split("toy", "train") == "train"


def test_a_run_that_states_train_of_a_single_file_opens_and_resumes(settings, mini):
    config = settings(data=str(mini / "train.json"), train_split="train", epochs=1)
    train(config)
    assert load_config(config.out / "config.yaml").train_split == "train"
    assert len(open_context(run=config.out).data) == 12
    assert len(open_source(run=config.out)[0].records) == 12
    longer = settings(data=str(mini / "train.json"), epochs=2)
    assert train(longer, resume=True).epochs == 2
    assert len(open_context(run=config.out).data) == 12


def test_another_training_split_is_told_by_its_data(settings):
    train(settings(epochs=1))
    with pytest.raises(ValueError, match=r"not the training split .*12 images then, 4 now"):
        train(settings(epochs=2, train_split="val"), resume=True)
