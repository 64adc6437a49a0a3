"""What a run may be resumed with: its own data, its own settings, and more epochs."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from kedge.files import read_lines
from kedge.train.fit import Keeper
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.module import DetectionModule, Schedule
from kedge.train.result import load_result
from kedge.train.run import train
from kedge.train.saved import load_run

LEARNED = {"learn_anchors": True, "anchors": "identical", "warmup_steps": 3, "ema": 0.9}
SAME_RATE = {"schedule": "constant", "lr_warmup": 2}  # nothing in it goes by the length of the run


def weights(config) -> bytes:
    return (config.out / "model.safetensors").read_bytes()


def stopped(config, step: int) -> None:
    """A run that ends in the middle of `step`."""
    original = DetectionModule.training_step

    def stop(self, batch, batch_idx):
        if self.global_step == step:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectionModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, resume=True)


@pytest.fixture
def own(mini, tmp_path) -> Path:
    """A copy of the data that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "data"))


def change(folder: Path, edit, *splits: str) -> None:
    """Edit the annotations of the training split, or of those named."""
    for split in splits or ("train",):
        values = json.loads((folder / f"{split}.json").read_text())
        edit(values)
        (folder / f"{split}.json").write_text(json.dumps(values))


def test_changed_data_are_refused_with_what_changed(settings, own):
    config = settings(data=str(own), epochs=3)
    stopped(config, 3)
    before = {path.name: path.read_bytes() for path in config.out.iterdir()}
    boxes = read_lines(config.out / "metrics.jsonl") and load_result(config.out / "run.json").data
    count = boxes["boxes"]["count"]
    said = (
        rf"not the training split that the run in .*run began with \({count} boxes then, "
        rf"{count - 1} now\); resume with the data as they were, or start a new run"
    )
    change(own, lambda values: values["annotations"].pop())
    with pytest.raises(ValueError, match=said):
        train(config, resume=True)
    assert {path.name: path.read_bytes() for path in config.out.iterdir()} == before
    train(config, overwrite=True)


def test_a_renamed_class_and_a_shifted_box_are_changes_too(settings, own):
    config = settings(data=str(own), epochs=1)
    train(config)
    change(own, lambda values: values["categories"][0].update(name="wheel"), "train", "val")
    change(own, lambda values: values["annotations"][0]["bbox"].__setitem__(0, 1.25))
    with pytest.raises(ValueError, match=r"5 classes as then, but not the same; \d+ boxes as then"):
        train(config, resume=True)  # finished, but not on these data


def test_a_longer_run_equals_one_of_that_length_where_nothing_goes_by_length(settings, tmp_path):
    whole = settings(**LEARNED, **SAME_RATE, epochs=5, out=tmp_path / "whole")
    train(whole)
    config = settings(**LEARNED, **SAME_RATE, epochs=2)
    assert train(config).finished
    assert weights(config) != weights(whole)
    longer = config.model_copy(update={"epochs": 5})
    result = train(longer, resume=True)
    assert (result.finished, result.epochs, result.steps) == (True, 5, 10)
    assert weights(longer) == weights(whole)
    for name in ("shapes.jsonl", "metrics.jsonl"):
        assert (longer.out / name).read_bytes() == (whole.out / name).read_bytes()
    assert train(longer, resume=True) == result
    load_run(longer.out)


def test_the_rate_of_a_longer_run_follows_the_new_schedule_from_its_first_step(settings):
    config = settings(epochs=2)
    train(config)
    rates = []
    original = DetectionModule.training_step

    def listen(self, batch, batch_idx):
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return original(self, batch, batch_idx)

    longer = config.model_copy(update={"epochs": 5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectionModule, "training_step", listen)
        train(longer, resume=True)
    new = Schedule(kind="cosine", rise=1, total=10)
    assert rates == [config.lr * new(step) for step in range(4, 10)]


def test_the_same_lengthening_gives_the_same_bytes_also_after_a_stop(settings, tmp_path):
    runs = []
    for name in ("one", "two"):
        config = settings(**LEARNED, epochs=2, out=tmp_path / name)
        train(config)
        longer = config.model_copy(update={"epochs": 4})
        if name == "two":
            stopped(longer, 7)
        train(longer, resume=True)
        runs.append(weights(longer))
    assert runs[0] == runs[1]


def test_the_warm_up_of_the_shapes_keeps_its_length(settings):
    config = settings(**LEARNED | {"warmup_steps": 0.5}, epochs=4)  # four of eight steps
    train(config)
    longer = config.model_copy(update={"epochs": 12})  # where it would be twelve
    train(longer, resume=True)
    rows = read_lines(longer.out / "shapes.jsonl")
    assert max(row["step"] for row in rows if row["stage"] == "warmup") == 4
    checkpoint = AtomicCheckpointIO().load_checkpoint(longer.out / "last.ckpt")
    assert checkpoint["shape_warmup_steps"] == 4


def test_fewer_epochs_than_are_done_are_refused_and_nothing_is_written(settings):
    config = settings(epochs=4)
    stopped(config, 5)
    before = {path.name: path.read_bytes() for path in config.out.iterdir()}
    with pytest.raises(
        ValueError, match=r"epochs: 2 are done in .*run, 1 are fewer; resume with 2"
    ):
        train(settings(epochs=1), resume=True)
    assert {path.name: path.read_bytes() for path in config.out.iterdir()} == before
    result = train(settings(epochs=2), resume=True)  # what is done may be called the end
    assert (result.finished, result.epochs) == (True, 2)


def test_parts_of_a_killed_run_go_and_others_stay(settings):
    config = settings(epochs=2)
    stopped(config, 3)
    parts = [".last.ckpt.ab12_cd3.part", ".config.yaml.aaaaaaaa.part", ".run.json.00000000.part"]
    others = [".page.html.ab12_cd3.part", ".last.ckpt.part", "notes.part"]
    for name in [*parts, *others]:
        (config.out / name).touch()
    train(config, resume=True)
    left = {path.name for path in config.out.iterdir()}
    assert left.isdisjoint(parts)
    assert left.issuperset(others)
    assert ".lock" not in left


def test_a_run_killed_in_its_last_lines_scores_once(settings):
    config = settings(epochs=2, eval_every=1)
    save = Keeper.result

    def killed(self):
        if self.epochs == 2 and (config.out / "last.ckpt").exists() and self.scored_last:
            raise KeyboardInterrupt
        return save(self)

    score_now = Keeper.score_now

    def scored(self, step):
        found = score_now(self, step)
        self.scored_last = step == 4
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "scored_last", False, raising=False)
        patch.setattr(Keeper, "score_now", scored)
        patch.setattr(Keeper, "result", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert [row["step"] for row in read_lines(config.out / "scores.jsonl")] == [2, 4]
    result = train(config, resume=True)
    assert result.finished
    assert [row["step"] for row in read_lines(config.out / "scores.jsonl")] == [2, 4]


def test_a_folder_that_lacks_a_file_of_its_run_is_named(settings):
    config = settings(epochs=2)
    stopped(config, 3)
    (config.out / "run.json").rename(config.out / "away.json")
    with pytest.raises(ValueError, match=r"holds last.ckpt but no run.json; --overwrite starts"):
        train(config, resume=True)
    (config.out / "away.json").rename(config.out / "run.json")
    (config.out / "config.yaml").unlink()
    with pytest.raises(ValueError, match=r"holds run.json but no config.yaml; --overwrite starts"):
        train(config, resume=True)


def test_a_checkpoint_of_another_detector_is_named(settings, tmp_path):
    config, other = settings(epochs=2), settings(epochs=2, num_anchors=3, out=tmp_path / "other")
    stopped(config, 3)
    stopped(other, 3)
    shutil.copy(other.out / "last.ckpt", config.out / "last.ckpt")
    with pytest.raises(ValueError, match=r"last.ckpt: not the weights of this detector"):
        train(config, resume=True)


def test_a_description_that_is_damaged_is_named_with_the_key(settings):
    config = settings(epochs=1)
    train(config)
    path = config.out / "run.json"
    values = json.loads(path.read_text())
    broken = {
        "classes": values | {"classes": 5},
        "levels.0.shapes": values | {"levels": [{"stride": 8}]},
        "epochs": values | {"epochs": "two"},
        "extra": values | {"extra": 1},
        "not a mapping": [values],
    }
    for key, content in broken.items():
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"run.json: not the description .*\({key}") as caught:
            load_run(config.out)
        assert "\n" not in str(caught.value)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"run.json: not the description of a run"):
        load_result(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"run.json: cannot be read"):
        load_result(path)


def test_shapes_are_asked_for_before_they_are_warmed_up(settings):
    class Shapeless(torch.nn.Module):
        shapes = None

    for warmup in ("placed", "annealed", "gradient", "none"):
        config = settings(learn_anchors=True, warmup=warmup)
        with pytest.raises(ValueError, match="learn_anchors: yolov2 has no anchor shapes to learn"):
            DetectionModule(Shapeless(), config, total_steps=10)


def test_what_a_sampler_draws_does_not_depend_on_a_stop(settings, tmp_path):
    drawn = {"detector": "faster_rcnn", "num_anchors": 1, "options": "width=16,hidden=16"}
    whole = settings(**drawn, sample="random:size=8", out=tmp_path / "whole")
    train(whole)
    config = settings(**drawn, sample="random:size=8")
    stopped(config, 3)
    train(config, resume=True)
    assert weights(config) == weights(whole)
