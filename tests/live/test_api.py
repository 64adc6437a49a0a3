"""What can be asked beside an answer: code that runs, sweeps, designs; and nothing says where."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from kedge import cli
from kedge.assign.by_name import strategy
from kedge.data import Record, toy
from kedge.live.api import Api, Refused, without_places
from kedge.live.opening import open_source
from kedge.live.state import State
from kedge.train.config import load_config
from kedge.train.make_detector import make_detector, sketch_of
from kedge.train.start_shapes import start_shapes


def finished(api, job):
    end = time.monotonic() + 60
    while job["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
        job = api.ask("progress", {"id": job["id"]})
    return job


def test_the_python_runs_and_gives_the_same_assignment(api, source, strict, capsys):
    strict["levels"][0] |= {"offset": 0.5, "shapes": [[21.3, 10.0], [33, 40.25]]}
    strict["image"] = "15"
    strict["strategies"][0]["settings"]["positive"] = 0.5
    names: dict = {}
    exec(api.ask("code", {"state": strict})["python"], names)
    assert "positives" in capsys.readouterr().out
    state = State.model_validate(strict)
    targets, grid = source.targets(state), state.grid(state.size)
    for given, item in zip(names["assignments"], state.strategies, strict=True):
        expected = strategy(item.spec())(grid, targets)
        assert len(expected) > 0
        assert torch.equal(given.anchor, expected.anchor)
        assert torch.equal(given.target, expected.target)
        assert torch.equal(given.ignored, expected.ignored)


def test_a_strategy_that_reads_predictions_is_a_comment_in_the_python(api, strict):
    strict["strategies"] = [{"name": "tal", "settings": {"k": 7}}, {"name": "atss", "settings": {}}]
    text = api.ask("code", {"state": strict})["python"]
    assert "# TAL(k=7) reads predictions" in text
    assert "rules = [ATSS()]" in text


def test_the_training_file_makes_the_detector_with_the_same_anchors(api, strict, tmp_path):
    file = tmp_path / "live.yaml"
    file.write_text(api.ask("code", {"state": strict})["yaml"])
    config = load_config(file)
    assert config.image_size == (256, 320)
    shapes = [level["shapes"] for level in strict["levels"]]
    detector = make_detector(config, 5, start_shapes(config, sketch_of(config), np.ones((1, 2))))
    assert detector.rule == strategy(State.model_validate(strict).strategies[0].spec())
    grid = detector.grid((256, 320))
    for made, given in zip(grid.shapes.detach().split(9), shapes, strict=True):
        rows = [torch.tensor(sorted(part)) for part in (made.round(decimals=2).tolist(), given)]
        torch.testing.assert_close(*rows, rtol=1e-3, atol=0)


def test_the_command_line_chooses_the_same(source, api, tmp_path, capsys):
    state = source.start.model_dump(mode="json") | {"image": "0"}
    found = api.ask("code", {"state": state})
    assert "--anchors" not in found["command"]
    table = tmp_path / "t.json"
    words = found["command"].split()[1:]
    assert cli.run([*words, "--images", "10", "--json", str(table)]) == 0
    capsys.readouterr()
    rows = json.loads(table.read_text())["rows"]
    total = {"max_iou": 0, "atss": 0}
    for image in range(0, 400, 40):
        state["image"] = str(image)
        for panel, name in zip(api.ask("answer", {"state": state})["panels"], total):
            total[name] += panel["positives"]
    assert {row["strategy"]: row["positives"] for row in rows} == total


def test_what_a_file_and_a_command_cannot_say_is_said(api, strict):
    assert not any("stand where" in note for note in api.ask("code", {"state": strict})["notes"])
    strict["levels"][0]["stride"] = [4, 4]
    strict["resize"] = "stretch"
    notes = " ".join(api.ask("code", {"state": strict})["notes"])
    assert "differ in strides" in notes
    assert "stretch" in notes


# -- sweeps and designs


def test_a_sweep_counts_what_the_strategy_does(api, source, strict):
    asked = {"state": strict, "setting": "positive", "low": 0.3, "high": 0.7, "steps": 5}
    job = finished(api, api.ask("sweep", asked | {"images": 20}))
    assert (job["state"], job["done"], job["total"]) == ("done", 20, 20)
    found = job["result"]
    assert [row["value"] for row in found["rows"]] == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert found["rows"][0]["per_object"] is None  # below negative, 0.4
    assert "needs 0 <= negative" in found["rows"][0]["refused"]
    objects = positives = without = 0
    for image in range(0, 400, 20):
        state = State.model_validate(strict | {"image": str(image)})
        targets = source.targets(state)
        given = strategy({"name": "max_iou", "positive": 0.5, "low_quality": "none"})(
            state.grid(state.size), targets
        )
        has = torch.bincount(given.target, minlength=len(targets)) > 0
        objects += int((~targets.ignore).sum())
        positives += len(given)
        without += int((~has & ~targets.ignore).sum())
    row = found["rows"][2]
    assert (found["objects"], row["without"]) == (objects, without)
    assert (sum(found["classes"]), sum(row["by_class"])) == (objects, without)
    assert found["rows"][0]["by_class"] is None
    assert row["per_object"] == pytest.approx(positives / objects)
    assert row["answered"] == pytest.approx(1 - without / objects)
    # MaxIoU without a rescue answers for who has an anchor at the threshold, unless it is taken
    assert found["recall"][found["recall_at"].index(0.5)] >= row["answered"]


def test_a_sweep_can_be_cancelled_and_keeps_what_it_counted(api, strict):
    asked = {"state": strict, "setting": "positive", "low": 0.5, "high": 0.9, "steps": 41}
    job = api.ask("sweep", asked | {"images": 400})
    while job["result"] is None:
        time.sleep(0.01)
        job = api.ask("progress", {"id": job["id"]})
    api.ask("cancel", {"id": job["id"]})
    job = finished(api, job)
    assert job["state"] == "cancelled"
    assert 0 < job["result"]["images"] < 400


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"setting": "nothing"}, "unknown setting"),
        ({"low": -3, "high": -1}, "needs 0 <="),
    ],
)
def test_a_sweep_that_cannot_be(api, strict, change, problem):
    asked = {"state": strict, "setting": "positive", "low": 0.5, "high": 0.9} | change
    job = finished(api, api.ask("sweep", asked))
    assert job["state"] == "failed"
    assert problem in job["error"]


def test_a_sweep_of_predictions_is_refused(api, strict):
    strict["strategies"] = [{"name": "tal", "settings": {}}]
    asked = {"state": strict, "setting": "k", "low": 3, "high": 9, "steps": 3}
    assert "reads predictions" in finished(api, api.ask("sweep", asked))["error"]


def test_a_design_is_compared_with_what_is_in_use(api, strict):
    job = finished(api, api.ask("design", {"state": strict, "k": 5, "framework": "kedge"}))
    assert job["state"] == "done", job["error"]
    found = job["result"]
    assert sum(len(level["shapes"]) for level in found["levels"]) == 5
    assert {row["name"] for row in found["rows"]} == {"new", "in use"}
    assert "in use" in found["verdict"]
    exec(found["snippet"], names := {})
    assert names["grid"].num_shapes == 5


def test_sizes_are_those_of_all_objects_but_crowds(api, source, strict):
    found = api.ask("sizes", {"state": strict})
    total = sum(int((~record.crowd).sum()) for record in source.records)
    assert found["shown"] == found["total"] == total


# -- nothing wrong gets in, nothing private gets out


@pytest.mark.parametrize(
    "change",
    [
        {"size": [0, 320]},
        {"size": [256, 10**9]},
        {"levels": []},
        {"strategies": []},
        {"levels": [{"stride": [0, 8]}]},
        {"levels": [{"stride": [8, 8], "shapes": [[1, float("nan")]]}]},
        {"boxes": [[0, 0, 1]]},
        {"image": "x" * 100},
        {"more": 1},
    ],
)
def test_a_state_that_is_none_is_refused(api, strict, change):
    with pytest.raises(Refused):
        api.ask("answer", {"state": strict | change})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image": "400"}, "numbered from 0 to 399"),
        ({"image": "../etc/passwd"}, "there is no image"),
        ({"size": [8192, 8192], "levels": [{"stride": [1, 1]}]}, "more than this page draws"),
        ({"boxes": [[0, 0, 1, 1]], "labels": [0, 1]}, "labels: 2 for 1"),
    ],
)
def test_what_has_no_answer_says_so(api, strict, change, problem):
    with pytest.raises(ValueError, match=problem):
        api.ask("answer", {"state": strict | change})


def test_no_answer_says_where_data_and_runs_lie(tmp_path):
    folder = toy.write(tmp_path / "zqprivate" / "zqfolder" / "set", train=3, val=1, size=(64, 96))
    source, _ = open_source(str(folder), image_size=(64, 96))
    broken = replace(source.records[1], file=tmp_path / "zqprivate" / "gone.png")
    api = Api(
        replace(source, records=[source.records[0], broken], run=tmp_path / "zqprivate" / "r")
    )
    state = source.start.model_dump(mode="json")
    said = [api.ask("open", {}), api.ask("list", {}), api.ask("code", {"state": state})]
    said += [api.ask("image", {"image": "0"}), api.ask("save", {"state": state})]
    for name, body in (("image", {"image": "1"}), ("watch", {}), ("sizes", {"state": 1})):
        with pytest.raises(ValueError, match=r"\w") as problem:
            api.ask(name, body)
        said.append(str(problem.value))
    text = json.dumps(said)
    for part in ("zqprivate", "zqfolder", str(Path.home()), tmp_path.name):
        assert part not in text


def test_paths_lose_their_folders():
    assert without_places("/a/b/run.json: bad") == "run.json: bad"
    assert without_places("see ../data/x/y.png, please") == "see y.png, please"
    assert without_places("runs/a: no", [Path("runs/a")]) == "a: no"
    assert without_places("w/h and 0.5/0.4 stay") == "w/h and 0.5/0.4 stay"


def test_what_is_not_known_is_refused(api):
    with pytest.raises(Refused, match="nothing called"):
        api.ask("everything", {})


def test_records_without_pixels_have_an_answer_all_the_same(source):
    record = Record(
        file=None,
        width=100,
        height=80,
        boxes=np.array([[0, 0, 50, 40]], np.float32),
        labels=np.zeros(1, np.int64),
        crowd=np.zeros(1, bool),
        image_id=1,
    )
    api = Api(replace(source, records=[record]))
    state = source.start.model_dump(mode="json")
    assert api.ask("answer", {"state": state})["panels"][0]["positives"] > 0
    with pytest.raises(ValueError, match="no pixels"):
        api.ask("image", {"image": "0"})


LOW = {"positive": 0.4, "negative": 0.4, "low_quality": "none"}


def test_the_tour_has_ten_steps_that_all_answer(api):
    steps = api.ask("tour", {})["steps"]
    assert len(steps) == 10
    seen = []
    for step in steps:
        given = api.ask("answer", {"state": step["state"], "layers": step["layers"]})
        assert all("error" not in panel for panel in given["panels"]), step["title"]
        assert step["text"].count(". ") <= 2
        seen.append([panel["without"] for panel in given["panels"]])
    threshold, rescued, adaptive, fitted = seen[3], seen[4], seen[8], seen[9]
    assert threshold[0] > 0  # "red objects"
    assert rescued[1] < rescued[0]
    assert fitted[0] < threshold[0]
    lower = steps[3]["state"] | {"strategies": [{"name": "max_iou", "settings": LOW}]}
    (panel,) = api.ask("answer", {"state": lower})["panels"]
    assert panel["without"] < threshold[0]
    assert adaptive[1] <= adaptive[0]


def test_yaml_and_command_are_of_the_chosen_panel(api, strict):
    found = api.ask("code", {"state": strict, "panel": 1})
    assert yaml.safe_load(found["yaml"])["model"]["assign"] == {"name": "atss"}
    assert "max_iou:positive=0.7,low_quality=none,atss" in found["command"]


def test_the_next_image_with_an_object_without(api, source, strict):
    found = api.ask("find", {"state": strict})
    between = range(int(strict["image"]) + 1, int(found["image"]))
    for image in [*between, int(found["image"])]:
        panels = api.ask("answer", {"state": strict | {"image": str(image)}})["panels"]
        lost = any(panel["without"] for panel in panels)
        assert lost == (image == int(found["image"]))
    assert found["looked"] == int(found["image"]) - int(strict["image"])


def test_of_two_panels_of_one_name_the_one_of_geometry_is_asked(api, strict):
    one, other = {"name": "atss", "settings": {}}, {"name": "atss", "settings": {"alpha": 0.8}}
    alone = api.ask("find", {"state": strict | {"strategies": [one]}})
    found = api.ask("find", {"state": strict | {"strategies": [one, other]}})
    assert found == alone | {"left_out": ["atss:alpha=0.8"]}
    assert found["image"] is not None


def test_where_no_object_goes_without(source, strict):
    few = Api(replace(source, records=source.records[:5]))
    strict["strategies"] = [{"name": "max_iou", "settings": {}}, {"name": "tal", "settings": {}}]
    strict["image"] = "0"
    found = few.ask("find", {"state": strict})
    assert (found["image"], found["looked"], found["left_out"]) == (None, 5, ["tal"])
