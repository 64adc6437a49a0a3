"""What a step logs: counted by hand, and the background's part of the class loss."""

import io

import pytest
import torch
from rich.console import Console

from kedge.assign import FreeAnchor, MaxIoU
from kedge.commands.tables import print_result
from kedge.detectors import RetinaNet, YOLOv2
from kedge.files import append_line
from kedge.losses import focal_loss
from kedge.train.result import METRICS, RunResult, unanswered
from kedge.train.step_facts import step_facts
from kedge.types import Targets

BOXES = torch.tensor([[8.0, 8, 40, 40], [50, 20, 90, 60], [0, 0, 3, 3]])


def scene() -> Targets:
    return Targets(
        boxes=BOXES,
        labels=torch.tensor([0, 1, 0]),
        image=torch.tensor([0, 0, 1]),
        ignore=torch.tensor([False, False, True]),
        batch_size=2,
    )


def step(model, targets):
    torch.manual_seed(0)
    return model.losses(torch.rand(2, 3, 64, 96), targets)


def test_yolov2_counts_objects_and_positives():
    model = YOLOv2(num_classes=2, shapes=[(30, 30), (40, 40)]).train()
    facts = step_facts(step(model, scene()))
    assert (facts["objects"], facts["answered"], facts["positives"]) == (2, 2, 2)
    assert 0 < facts["background_share"] < 1


def test_retinanet_share_is_that_of_the_dense_focal_loss():
    model = RetinaNet(num_classes=2, assign=MaxIoU(positive=0.5, negative=0.4)).eval()
    outcome = step(model, scene())
    torch.manual_seed(0)
    logits = model.head(torch.rand(2, 3, 64, 96)).logits.detach()
    focal = focal_loss(logits, torch.zeros_like(logits), reduction="none").sum(-1)
    count = max(len(outcome.assignment), 1)
    dense = float(focal[outcome.assignment.background()].sum()) / count
    whole = float(outcome.losses["classification"].detach())
    assert step_facts(outcome)["background_share"] == pytest.approx(dense / whole, rel=1e-4)


def test_without_objects_everything_is_background():
    model = RetinaNet(num_classes=2).eval()
    none = Targets.from_list([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}] * 2)
    facts = step_facts(step(model, none))
    assert facts == {"objects": 0, "answered": 0, "positives": 0, "background_share": 1.0}


def test_a_likelihood_has_no_share():
    model = RetinaNet(num_classes=2, assign=FreeAnchor()).train()
    assert "background_share" not in step_facts(step(model, scene()))


def written(folder, *rows):
    for row in rows:
        append_line(folder / METRICS, row)
    return folder


def test_objects_without_an_anchor_are_counted_in_the_second_half(tmp_path):
    rows = [{"step": i, "objects": 10, "answered": i} for i in (2, 4, 6, 8)]
    assert unanswered(written(tmp_path, *rows, {"step": 9, "loss": None})) == (4 + 2, 20)
    assert unanswered(tmp_path / "nothing") == (0, 0)


def test_a_run_says_how_many_objects_it_was_not_taught(tmp_path):
    result = RunResult(
        out=tmp_path, finished=True, detector="fcos", classes=["a"], category_ids=[1],
        image_size=(64, 96), levels=[], stations=[], steps=20,
    )  # fmt: skip

    def said():
        console = Console(width=120, record=True, file=io.StringIO())
        print_result(console, result)
        return console.export_text()

    written(tmp_path, {"step": 10, "objects": 6, "answered": 6})
    assert "no positive anchor" not in said()
    assert "Anchor shapes" not in said()  # a point has none
    written(tmp_path, {"step": 20, "objects": 8, "answered": 6})
    assert said().splitlines()[-1] == (
        "2 of 8 objects (25 %) of the logged steps since half-way had no positive anchor: "
        f"kedge doctor --run {tmp_path} says why"
    )
