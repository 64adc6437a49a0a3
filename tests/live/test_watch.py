"""A run folder, read while it grows; and strategies that read the run's own predictions."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kedge import TAL
from kedge.data import toy
from kedge.live.api import Api
from kedge.live.opening import open_source
from kedge.live.packed import unpacked
from kedge.live.watch import SHOWN
from kedge.train.config import make_config
from kedge.train.result import METRICS, RUN, SHAPES, WEIGHTS
from kedge.train.run import train
from kedge.train.saved import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A training of seconds, with shapes that move."""
    folder = tmp_path_factory.mktemp("watch")
    data = toy.write(folder / "mini", train=12, val=4, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "batch_size": 6, "epochs": 2}
    settings |= {"log_every": 1, "detector": "yolov2", "stride": 16}
    settings |= {"learn_anchors": True, "warmup": "none", "out": folder / "run"}
    return train(make_config(settings)).out


@pytest.fixture
def copy(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_what_a_run_has_left(run):
    api = Api(open_source(run=run)[0])
    found = api.ask("watch", {})
    assert (found["title"], found["detector"], found["finished"]) == ("run", "yolov2", True)
    assert (found["epochs"], found["of_epochs"]) == (2, 2)
    assert found["losses"][:2] == ["loss", "loss_box"]
    assert [row["step"] for row in found["metrics"]] == [1, 2, 3, 4]
    assert found["saved"] == load_run(run).result.shapes
    assert [row["epoch"] for row in found["shapes"]] == [0, 1, 2]
    assert found["left_out"] == 0
    assert api.ask("watch", {"stamp": found["stamp"]}) == {"same": True, "stamp": found["stamp"]}


def test_the_start_is_the_runs_own_anchors(run):
    source, _ = open_source(run=run)
    grid = source.start.grid((64, 96))
    own = load_run(run).detector.grid((64, 96))
    assert len(grid) == len(own)
    torch.testing.assert_close(grid.boxes(), own.boxes().detach())
    assert source.predictions(source.start) is not None


def test_a_run_that_is_dead_or_not_yet_saved(copy):
    for name in (RUN, WEIGHTS, "last.ckpt"):
        (copy / name).unlink()
    with (copy / METRICS).open("a") as file:
        file.write('{"step": 5, "los')  # killed in the middle of a line
    found = Api(open_source(run=copy)[0]).ask("watch", {})
    assert (found["finished"], found["has_weights"], len(found["metrics"])) == (False, False, 4)


def test_long_curves_are_thinned_and_that_is_said(copy):
    (copy / METRICS).write_text("".join(f'{{"step": {i}, "loss": 1}}\n' for i in range(1001)))
    found = Api(open_source(run=copy)[0]).ask("watch", {})
    assert len(found["metrics"]) <= SHOWN + 1
    assert found["metrics"][-1]["step"] == 1000
    assert len(found["metrics"]) + found["left_out"] == 1001


def test_a_strategy_reads_the_runs_own_predictions(run):
    source, _ = open_source(run=run)
    api = Api(source)
    image = next(str(i) for i, r in enumerate(source.records) if len(r.boxes) > 1)
    tal = [{"name": "tal", "settings": {}}]
    state = source.start.model_dump(mode="json") | {"image": image, "strategies": tal}
    (panel,) = api.ask("answer", {"state": state})["panels"]
    assert panel["predicted"]
    asked = source.start.model_copy(update={"image": image})
    expected = TAL()(asked.grid((64, 96)), source.targets(asked), source.predictions(asked))
    assert unpacked(panel["target"]).tolist() == expected.target.tolist()
    assert len(expected) > 0
    state["levels"][0]["shapes"][0] = [50, 50]  # these are not the anchors that it predicts for
    (panel,) = api.ask("answer", {"state": state})["panels"]
    assert "its own saved anchors" in panel["error"]


@pytest.mark.parametrize(
    ("name", "read"),
    [("best_in_cell", True), ("yolov3", True), ("uniform", True), ("max_iou", False)],
)
def test_a_panel_says_whether_its_strategy_chose_by_predictions(run, name, read):
    """Also of those that do without where there are none."""
    source, _ = open_source(run=run)
    state = source.start.model_dump(mode="json")
    state["strategies"] = [{"name": name, "settings": {}}]
    (panel,) = Api(source).ask("answer", {"state": state})["panels"]
    assert panel["predicted"] is read


def test_proposals_are_of_one_class_and_so_are_the_objects(tmp_path):
    """Of two stages the first is looked at: its head knows "object" alone, the page all classes."""
    data = toy.write(tmp_path / "mini", train=4, val=2, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "batch_size": 2, "epochs": 1}
    settings |= {
        "detector": "faster_rcnn",
        "options": "width=16,hidden=32",
        "out": tmp_path / "run",
    }
    source, _ = open_source(run=train(make_config(settings)).out)
    image = next(str(i) for i, r in enumerate(source.records) if (r.labels > 0).any())
    tal = [{"name": "tal", "settings": {}}]
    state = source.start.model_dump(mode="json") | {"image": image, "strategies": tal}
    found = Api(source).ask("answer", {"state": state})
    assert found["panels"][0]["predicted"]
    asked = source.start.model_copy(update={"image": image})
    targets = source.targets(asked)
    expected = TAL()(asked.grid((64, 96)), targets.as_one_class(), source.predictions(asked))
    assert unpacked(found["panels"][0]["target"]).tolist() == expected.target.tolist()
    assert unpacked(found["labels"]).tolist() == targets.labels.tolist()


def test_newer_weights_are_read(copy):
    source, _ = open_source(run=copy)
    first = source.predictions(source.start)
    assert source.predictions(source.start) is first  # kept
    weights = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(weights)
    assert source.predictions(source.start) is not first
    (copy / WEIGHTS).unlink()
    assert source.predictions(source.start) is None


def test_what_the_shapes_of_each_epoch_do_on_an_image(run):
    source, _ = open_source(run=run)
    api = Api(source)
    image = next(str(i) for i, r in enumerate(source.records) if len(r.boxes) > 1)
    rules = [{"name": "max_iou", "settings": {}}, {"name": "tal", "settings": {}}]
    state = source.start.model_dump(mode="json") | {"image": image, "strategies": rules}
    found = api.ask("epochs", {"state": state})
    assert found["moved"]
    assert found["epoch"] == [0, 1, 2]
    assert found["positives"][1] is None  # reads predictions
    (panel, _) = api.ask("answer", {"state": state})["panels"]
    assert found["positives"][0][-1] == panel["positives"]  # the shapes have hardly moved
    assert found["without"][0][-1] == panel["without"]


def test_without_a_run_there_is_nothing_to_watch(source):
    api = Api(replace(source, run=None))
    for name in ("watch", "epochs"):
        with pytest.raises(ValueError, match="kedge live --run"):
            api.ask(
                name, {"state": source.start.model_dump(mode="json")} if name == "epochs" else {}
            )


def test_damaged_files_are_said_without_their_folder(copy):
    (copy / SHAPES).write_text("nonsense\n")
    source = None
    with pytest.raises(ValueError, match=SHAPES):
        source, _ = open_source(run=copy)
    assert source is None
