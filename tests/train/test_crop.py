"""Training on crops, scoring whole images."""

import pytest

from kedge.cli import run
from kedge.train.config import TrainConfig
from kedge.train.run import transforms_of
from kedge.train.saved import load_run


def test_crops_are_trained_on_and_whole_images_scored(tmp_path, monkeypatch):
    seen = []
    shape = "kedge.train.module.DetectionModule.training_step"
    from kedge.train import module

    step = module.DetectionModule.training_step

    def spy(self, batch, index):
        seen.append(tuple(batch[0].shape[2:]))
        return step(self, batch, index)

    monkeypatch.setattr(shape, spy)
    words = ["train", "--data", "toy", "--train-split", "val", "--eval-split", "val", "--epochs"]
    words += ["1", "--image-size", "128", "160", "--crop", "64", "96", "--batch-size", "50"]
    assert run([*words, "--out", str(tmp_path / "run"), "--learn-anchors"]) == 0
    assert set(seen) == {(64, 96)}
    found = load_run(tmp_path / "run")
    assert found.config.crop == (64, 96)
    assert found.result.image_size == (128, 160) == found.detector.input_size
    assert found.result.scores["AP50"] >= 0


def test_a_crop_has_the_sides_of_a_network():
    assert TrainConfig(crop=64).crop == (64, 64)
    with pytest.raises(ValueError, match="multiples of 32"):
        TrainConfig(crop=(64, 50))
    assert transforms_of(TrainConfig(image_size=(128, 160))).rest[0].size == (128, 160)
