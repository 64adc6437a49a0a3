"""The demo on a handful of drawn images: every variant, the table's numbers, the report."""

import json

import numpy as np
import PIL.Image
import pytest

from kedge.data import read, toy
from kedge.demo.run import VARIANTS, demo, fitting_size
from kedge.train.saved import load_run


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    data = toy.write(folder / "mini", train=12, val=5, size=(64, 96))
    settings = {"batch_size": 6, "warmup_steps": 3}
    return demo(str(data), out=folder / "out", epochs=3, settings=settings)


def test_every_variant_is_trained_on_the_same_budget(result):
    assert list(result.runs) == [variant.title for variant in VARIANTS]
    assert len({(run.steps, run.eval_split) for run in result.runs.values()}) == 1


def test_only_learned_shapes_move_and_the_mismatch_is_one(result):
    fit = {
        title: {station.name: station.mean_best_iou for station in run.stations}
        for title, run in result.runs.items()
    }
    fixed, learned = fit["mismatched, fixed"], fit["learned from mismatched"]
    assert fixed["final"] == pytest.approx(fixed["initial"])
    assert fixed["initial"] < 0.5 * fit["k-means, fixed"]["initial"]
    assert learned["initial"] == fixed["initial"]
    assert learned["final"] != learned["initial"]


def test_the_report_stands_alone(result):
    page = result.report.read_text()
    for word in ("Scores", "Shapes", "Learning curves", "Detections", "learned from mismatched"):
        assert word in page
    assert "<script src=" not in page
    assert page.count("data:image/webp") >= len(VARIANTS)


def test_the_numbers_are_there_as_json_too(result):
    said = json.loads((result.out / "demo.json").read_text())
    for title, run in result.runs.items():
        row = said["runs"][title]
        assert row["scores"]["AP50"] == run.scores["AP50"]
        assert np.allclose(row["stations"]["final"]["shapes"], run.shapes)


def test_every_run_can_be_loaded(result):
    for run in result.runs.values():
        assert load_run(run.out).classes == list(toy.CLASSES)


def test_a_set_without_splits_is_trained_on_whole_and_not_scored(tmp_path):
    from_toy = toy.data("train", images=6, size=(64, 96))
    for folder in ("label_2", "image_2"):
        (tmp_path / "kitti" / folder).mkdir(parents=True)
    for record in from_toy.records:
        stem = record.name.removesuffix(".png")
        PIL.Image.fromarray(record.draw()).save(tmp_path / "kitti" / "image_2" / record.name)
        rows = [
            " ".join(["thing 0 0 0", *map(str, box), "0 0 0 0 0 0 0"])
            for box in record.boxes.tolist()
        ]
        (tmp_path / "kitti" / "label_2" / f"{stem}.txt").write_text("\n".join(rows))
    settings = {"batch_size": 3, "warmup_steps": 2}
    found = demo(
        str(tmp_path / "kitti"), out=tmp_path / "out", epochs=1, settings=settings, jobs=1
    )
    assert {(run.eval_split, len(run.scores)) for run in found.runs.values()} == {(None, 0)}
    assert "Shapes" in found.report.read_text()


def test_the_input_has_the_shape_of_the_data(tmp_path):
    data = read(toy.write(tmp_path / "wide", train=2, val=1, size=(110, 416)), "train")
    assert fitting_size(data) == (96, 320)
    assert fitting_size(data, longest=1000) == (96, 416)


@pytest.mark.slow
def test_a_run_that_fails_is_said_in_its_own_words_and_stops_the_rest(tmp_path):
    from kedge.demo.side_by_side import train_side_by_side
    from kedge.train.config import make_config

    configs = {"good": make_config({"data": "toy", "epochs": 500, "out": tmp_path / "a"})}
    configs["bad"] = make_config({"data": str(tmp_path / "nonesuch"), "out": tmp_path / "b"})
    with pytest.raises(ValueError, match=r"bad: .*nonesuch: does not exist"):
        train_side_by_side(configs, jobs=2)
