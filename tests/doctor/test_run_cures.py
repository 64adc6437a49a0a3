"""Every cure that the doctor names for a run is applied, and must have the effect that it
promised."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from doctor.applied import begun, promising
from torchvision.ops import box_iou

from kedge.cli import run
from kedge.data import Data, toy
from kedge.design.saved import load_design
from kedge.doctor import Context, open_context, run_checks
from kedge.doctor.checks import RUN
from kedge.doctor.context import halves
from kedge.doctor.probe import _background_share, match
from kedge.doctor.setups import of_config
from kedge.train.config import make_config, save_config
from kedge.train.make_detector import make_detector
from kedge.train.result import load_result
from kedge.train.run import train
from kedge.train.saved import load_run

SIZE = (128, 160)
FALLING = [3.0 * 0.93**i for i in range(40)]
SMALL = "4x4,4x9,9x5,5x14,12x9"
LARGE = "40x30,30x40,45x45,60x60,80x80"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Forty drawn images of 256 x 320."""
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=40, val=4)


@pytest.fixture
def begin(tmp_path, mini):
    """The context of a run with these losses and settings, which never ran."""

    def make(box=FALLING, scores=(), **settings) -> Context:
        folder = tmp_path / "run"
        settings = {"data": str(mini), "image_size": SIZE} | settings
        save_config(make_config(settings), folder / "config.yaml")
        rows = [{"step": 10 * i, "loss": b + f, "loss_box": b} for i, (b, f) in
                enumerate(zip(box, FALLING, strict=True), 1)]  # fmt: skip
        for name, lines in (("metrics", rows), ("scores", scores)):
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return open_context(run=folder)

    return make


def asked(context: Context) -> dict:
    """What the doctor says of the run, by check."""
    return {found.check: found for check in RUN for found in check(context)}


def with_probe(context: Context, data: Data, rows, **more) -> Context:
    """The same with a detector that answers ``rows``."""
    new = replace(context, data=data)
    new.__dict__["probe"] = match(data, rows, SIZE, **more)
    return new


def truth(data: Data) -> list[dict]:
    """Detections that are the objects themselves."""
    return [
        {
            "boxes": r.boxes[~r.crowd].astype(np.float64),
            "labels": r.labels[~r.crowd],
            "scores": np.full((~r.crowd).sum(), 0.9),
        }
        for r in data.records
    ]


# -- other anchors


def pasted(context: Context, cure: str, monkeypatch) -> Context:
    """The context of the run that the ``kedge train`` of a cure begins."""
    config = begun(cure, monkeypatch)
    setup = of_config(config, context.data, f"--config {context.run.folder}/config.yaml")
    new = replace(context, setup=setup)
    new.__dict__["probe"] = context.probe
    return new


def designed(context: Context, cure: str, tmp_path) -> Context:
    """The same with the anchors that the ``kedge design`` of a cure finds."""
    file = tmp_path / "design.json"
    words = shlex.split(re.search("kedge design .*", cure)[0])[1:]
    words += ["--restarts", "4", "--no-curve", "--no-compare", "--json", str(file)]
    assert run(words) == 0
    shapes = [shape for _, level in load_design(str(file)).levels for shape in level]
    return replace(context, setup=context.setup.with_shapes(torch.tensor(shapes)))


def held_out(context: Context):
    """Boxes (n, 4) of the images that the design of the doctor did not see."""
    return torch.from_numpy(halves(context.sample)[1].fair.xyxy).double()


def best_iou(context: Context, boxes) -> torch.Tensor:
    """(n,) the largest IoU of each object with all anchors, or with all shapes on its centre."""
    setup = context.setup
    if setup.thresholded:
        grid = setup.grid
        return box_iou(boxes, grid.boxes(torch.arange(len(grid))).double()).amax(dim=1)
    side, middle = setup.grid.shapes.double(), (boxes[:, :2] + boxes[:, 2:]) / 2
    around = [torch.cat([middle - wh / 2, middle + wh / 2], dim=1) for wh in side]
    return torch.stack([box_iou(boxes, part).diagonal() for part in around]).amax(dim=0)


def other_anchors(context, found, monkeypatch, tmp_path):
    """On the objects held out; the design starts anew and sees all: the greater part of the gain
    has to come."""
    boxes = held_out(context)
    bands = found.evidence.get("not_covered_by_anchors")
    if bands is not None:
        root = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
        edges = [tuple(map(float, band.removesuffix(" px").split("-"))) for band in bands]
        boxes = boxes[sum((root >= low) & (root < high) for low, high in edges) > 0]
    promised = found.predicted

    def covered(some: Context) -> float:
        return float((best_iou(some, boxes) >= some.setup.threshold).double().mean())

    assert covered(context) == pytest.approx(promised["covered_before"])
    new = pasted(context, found.cure, monkeypatch)
    rounding = 0.5 / len(boxes) + 0.02  # the shapes are printed to a tenth of a pixel
    assert covered(new) == pytest.approx(promised["covered_after"], abs=rounding)
    if "mean_best_iou_after" in promised:
        fit = float(best_iou(new, boxes).mean())
        assert fit == pytest.approx(promised["mean_best_iou_after"], abs=0.005)
    gain = promised["covered_after"] - promised["covered_before"]
    assert gain > 0
    once_more = designed(context, found.cure, tmp_path)
    assert covered(once_more) >= promised["covered_before"] + gain / 2
    left = asked(new).get(found.check)
    assert left is None or left.cause != found.cause
    assert left is None or left.predicted is None or left.cure != found.cure


PARTS = {
    "yolov2": {"detector": "yolov2"},
    "retinanet": {"detector": "retinanet", "num_anchors": 1},
}


@pytest.fixture(params=PARTS)
def parts(request):
    return PARTS[request.param]


def test_anchors_behind_false_positives(begin, parts, monkeypatch, tmp_path):
    context = begin(anchors=SMALL, scores=[{"epoch": 4, "AP50": 0.02}], **parts)
    found = asked(context)["loss_falls_but_detections_fail"]
    other_anchors(context, found, monkeypatch, tmp_path)


def test_pasted_shapes_of_a_learned_run_are_not_forgotten_by_a_warmup(begin, monkeypatch):
    context = begin(anchors=SMALL, scores=[{"epoch": 4, "AP50": 0.02}], learn_anchors=True)
    assert context.run.config.shape_warmup == "placed"
    found = asked(context)["loss_falls_but_detections_fail"]
    settings = begun(found.cure, monkeypatch)
    assert settings.learn_anchors
    assert settings.shape_warmup == "none"
    assert settings.explicit_shapes != context.run.config.explicit_shapes


def test_anchors_behind_missed_sizes(begin, parts, monkeypatch, tmp_path):
    context = begin(anchors=LARGE, **parts)
    rows = truth(context.data)
    for row in rows:
        keep = (row["boxes"][:, 2:] - row["boxes"][:, :2]).prod(axis=1) >= 32**2 * 4
        for key, value in row.items():
            row[key] = value[keep]
    context = with_probe(context, context.data, rows)
    other_anchors(context, asked(context)["missed_sizes"], monkeypatch, tmp_path)


def test_anchors_without_a_positive(begin, monkeypatch, tmp_path):
    context = begin(box=[0.0] * 40, anchors="1x1,1x2,2x1", assign="yolov5")
    other_anchors(context, asked(context)["zero_box_loss"], monkeypatch, tmp_path)


def test_anchors_behind_an_early_box_loss(begin, parts, monkeypatch):
    """The mean log size ratio of objects and the anchors that the rule gives them, counted."""
    context = begin(box=[12.0 * 0.85**i + 0.3 for i in range(40)], anchors=SMALL, **parts)
    found = asked(context)["early_box_loss"]
    new = pasted(context, found.cure, monkeypatch)
    held = halves(context.few)[1]
    for some, key in ((context, "before"), (new, "after")):
        targets, grid = held.targets(0, len(held.size)), some.setup.grid
        pairs = some.setup.assign(grid, targets)
        box, anchor = targets.boxes[pairs.target], grid.boxes(pairs.anchor)
        ratio = ((box[:, 2:] - box[:, :2]) / (anchor[:, 2:] - anchor[:, :2])).log().abs().mean()
        assert float(ratio) == pytest.approx(found.predicted[key], rel=0.02)
    assert found.predicted["after"] < 0.6 * found.predicted["before"]
    left = asked(new).get("early_box_loss")
    assert left is None or "--anchors" not in left.cure


def test_anchors_that_moved_far(tmp_path):
    """A run of four epochs learns its anchors; the next one starts where it ended."""
    data = toy.write(tmp_path / "mini", train=12, val=2, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "batch_size": 4, "epochs": 4}
    settings |= {"anchors": "identical", "learn_anchors": True, "anchor_lr": 20, "log_every": 1}
    train(make_config(settings | {"out": tmp_path / "run"}))
    found = asked(open_context(run=tmp_path / "run"))["anchors_moved_far"]
    command = shlex.split(found.cure, comments=True)
    assert run([*command[1:], "--epochs", "1", "--quiet"]) == 0
    first = load_result(tmp_path / "run-2" / "run.json").station("initial").mean_best_iou
    assert first == pytest.approx(found.predicted["after"], abs=2e-3)
    assert first > found.predicted["before"] + 0.1
    assert "anchors_moved_far" not in asked(open_context(run=tmp_path / "run-2"))


# -- the loss


@pytest.mark.parametrize("loss", ["background_weight=4", "background_weight=9,box=giou"])
def test_a_lighter_background(tmp_path, loss, monkeypatch):
    """A run of one epoch with a heavy background, and the same weights with the loss of the
    cure, on the same image."""
    data = toy.write(tmp_path / "mini", train=8, val=2, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "batch_size": 4, "epochs": 1}
    config = make_config(settings | {"out": tmp_path / "run", "loss": loss})
    train(config)
    detector, context = load_run(tmp_path / "run").detector, open_context(run=tmp_path / "run")
    one = replace(context.data, records=context.data.records[:1])
    share = _background_share(detector, one, (64, 96))
    context = with_probe(context, one, truth(one), background_share=share)
    found = asked(context)["background_loss"]
    assert found.predicted["share_before"] == share
    terms = re.search(r"--loss (\S+?),? or", found.cure)[1]
    assert ("box=giou" in terms) == ("box=giou" in loss)
    lighter = make_detector(config.model_copy(update={"loss": terms}), len(one.classes))
    lighter.load_state_dict(detector.state_dict())
    after = _background_share(lighter.eval(), one, (64, 96))
    assert after == pytest.approx(found.predicted["share_after"], rel=1e-4)
    assert after < 0.6
    cured = with_probe(context, one, truth(one), background_share=after)
    assert "background_loss" not in asked(cured)


# -- boxes to one side


def _corners(box):
    return np.tile((box[:, 2:] - box[:, :2]) / 2, 2)


SHIFTS = {  # what was done to the annotations, and what undoes it
    "shifted": lambda box: box + np.array([14, -6, 14, -6]),
    "corner for centre": lambda box: box + _corners(box),
    "another scale": lambda box: box * 1.15,
    "half a cell": lambda box: box - 16,
    "too short": lambda box: box - _corners(box) * 0.4,
}


def annotations_mended(cure: str, cause: str, box: np.ndarray) -> np.ndarray:
    """(n, 4) annotations in pixels of images twice as large as the network's input."""
    by = re.search(r"Shift the annotations by \(([-+.\d]+), ([-+.\d]+)\)", cure)
    if by is not None:
        return box + 2 * np.tile([float(by[1]), float(by[2])], 2)
    if "convert (x, y, w, h)" in cure:
        return box - _corners(box)
    if "Use one size for both" in cure:
        return box * (1 + float(re.search(r"image \(([-+.\d]+)%\)", cause)[1]) / 100)
    if "Level(offset=0.5)" in cure:
        return box + float(re.search(r"stride ([\d.]+)\)", cause)[1])  # half of it, twice
    assert "Look at the boxes on the images" in cure
    return box + 2 * float(re.search(r"\(([-+.\d]+) of its side\)", cause)[1]) * _corners(box)


@pytest.mark.parametrize("planted", SHIFTS)
def test_boxes_to_one_side(begin, planted):
    """The detector is right but for noise; the annotations were spoiled."""
    context, rng = begin(anchors="16x14,15x51"), np.random.default_rng(0)
    rows = truth(context.data)
    for row in rows:
        row["boxes"] += rng.normal(0, 0.8, row["boxes"].shape)

    def annotated(data: Data, change) -> Data:
        records = [replace(r, boxes=change(r.boxes).astype(np.float32)) for r in data.records]
        return replace(data, records=records)

    spoiled = with_probe(context, annotated(context.data, SHIFTS[planted]), rows)
    found = asked(spoiled)["one_sided_boxes"]
    mended = annotated(spoiled.data, lambda box: annotations_mended(found.cure, found.cause, box))
    cured = with_probe(context, mended, rows)
    assert "one_sided_boxes" not in asked(cured)
    for some, key in ((spoiled, "before"), (cured, "after")):
        probe = some.probe
        side = probe.truth[:, 2:] - probe.truth[:, :2]
        off = np.abs((probe.boxes - probe.truth).reshape(-1, 2, 2).mean(axis=1)) / side
        promised = found.predicted[f"mean_error_{key}"]
        if key == "before":
            assert off.mean() == pytest.approx(promised)
        else:  # what was matched with a neighbour finds its own object then
            assert off.mean() <= promised + 0.01
    back = re.search(r"the predictions by \(([-+.\d]+), ([-+.\d]+)\)", found.cure)
    if back is not None:
        for row in rows:
            row["boxes"] += 2 * np.tile([float(back[1]), float(back[2])], 2)
        assert "one_sided_boxes" not in asked(with_probe(context, spoiled.data, rows))


# -- all of them


def test_every_check_of_runs_that_promises_something_is_here():
    """What the others cure can only be seen by running it."""
    assert promising(run_checks) == {
        "background_loss", "drift", "early_box_loss", "false_positives", "moved_anchors",
        "no_positive_loss", "recall_by_size",
    }  # fmt: skip
