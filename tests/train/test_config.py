"""Settings: YAML, flags on top, and errors that name file and key."""

import pytest

from kedge.shape_text import parse_shapes
from kedge.train.config import TrainConfig, load_config, make_config, save_config


def write(path, text):
    path.write_text(text)
    return path


def test_flags_beat_the_file_and_the_file_beats_the_defaults(tmp_path):
    file = write(tmp_path / "a.yaml", "data: {source: toy}\nschedule:\n  epochs: 7\n  lr: 1e-3\n")
    config = load_config(file, {"epochs": 3})
    assert (config.data, config.epochs, config.lr) == ("toy", 3, 1e-3)
    assert config.batch_size == TrainConfig().batch_size


def test_saved_settings_read_back_unchanged(tmp_path):
    config = make_config(
        {
            "data": "x",
            "anchors": [[10, 13.5], [16, 30]],
            "image_size": [96, 64],
            "ema": 0.0,
            "assign": {"name": "tal", "k": 10},
            "loss": {"box": {"name": "eiou", "gamma": 0.5}, "classes": "varifocal"},
            "options": {"width": 32},
        }
    )
    save_config(config, tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml") == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedule: {epoch: 3}", "schedule: unknown key 'epoch'; did you mean 'epochs'?"),
        ("epoch: 3", "unknown key 'epoch'; did you mean 'epochs'? (a file has the blocks data,"),
        ("epochs: 3", "'epochs' stands outside of the blocks; it belongs to schedule"),
        ("data: {epochs: 3}", "data: unknown key 'epochs'; it belongs to schedule"),
        ("data: toy", "data: expected a mapping, got 'toy'"),
        ("schedule: {epochs: none}", "epochs: "),
        ("schedule: {epochs: 0}", "epochs: input should be greater than or equal to 1 (got 0)"),
        ("model: {warmup: fast}", "warmup: "),
        ("model: {detector: yolov9}", "detector: "),
        ("data: {image_size: [100, 100]}", "image_size: height and width must be positive mult"),
        ("data: {scale: [1.2, 0.8]}", "scale: the range of zoom must be 0 < low <= high"),
        ("model: {anchors: [[10, 13], [1]]}", "anchors: a shape is [w, h]"),
        ("model: {anchors: '10x13,axb'}", "anchors: 'axb' is not a shape"),
        ("model: {anchors: '10x0,3x3'}", "anchors: shape '10x0' has no area"),
        ("- 1\n- 2", "expected a mapping"),
        ("a: [", "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_a_bad_file_is_one_line_that_names_file_and_key(tmp_path, text, said):
    file = write(tmp_path / "bad.yaml", text)
    with pytest.raises(ValueError, match=r"bad.yaml") as caught:
        load_config(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"none.yaml: no such file"):
        load_config(tmp_path / "none.yaml")


def test_listed_shapes_and_names_are_told_apart():
    assert make_config({"anchors": "10x13, 16.5x30"}).explicit_shapes == [(10, 13), (16.5, 30)]
    assert make_config({"anchors": "20x20"}).explicit_shapes == [(20, 20)]
    assert make_config({"anchors": "kmeans"}).explicit_shapes is None
    assert make_config({"anchors": "yolov2_coco"}).explicit_shapes is None
    with pytest.raises(ValueError, match="is not a shape"):
        parse_shapes("10x")


def test_lengths_are_steps_or_shares():
    config = TrainConfig()
    assert config.steps_of(0.25, 400) == 100
    assert config.steps_of(30, 400) == 30
    assert config.steps_of(0, 400) == 0


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ({}, "none"),  # k-means
        ({"anchors": "design.json"}, "none"),
        ({"anchor_scale": 0.25}, "placed"),  # spoilt on purpose
        ({"anchors": "identical"}, "placed"),
        ({"anchors": "yolov2_coco"}, "placed"),
        ({"anchors": "10x13,16x30"}, "placed"),
        ({"warmup": "annealed"}, "annealed"),
        ({"anchors": "uniform", "warmup": "none"}, "none"),
    ],
)
def test_a_start_that_was_chosen_for_the_data_is_not_forgotten(start, kind):
    assert make_config({"learn_anchors": True} | start).shape_warmup == kind


def test_one_number_is_a_square():
    assert make_config({"image_size": 96}).image_size == (96, 96)


def test_the_warmup_is_long_enough_but_never_more_than_half_the_run():
    from kedge.train.module import warmup_length

    share = make_config({"warmup_steps": 0.15})
    assert [warmup_length(share, total) for total in (2000, 400, 60, 1)] == [300, 100, 30, 1]
    assert warmup_length(make_config({"warmup_steps": 7}), 10) == 7
    with pytest.raises(ValueError, match="warmup_steps: 11 are more than the run's 10 steps"):
        warmup_length(make_config({"warmup_steps": 11}), 10)


def test_every_recipe_is_valid():
    from pathlib import Path

    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert len(recipes) >= 3
    for recipe in recipes:
        load_config(recipe)
        for word in ("kedge train --config", "cost:", "expected:"):
            assert word in recipe.read_text()
