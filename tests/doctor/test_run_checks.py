"""The classic symptoms of a run, each planted; the doctor must name what was planted."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kedge.assign.by_name import strategy
from kedge.data import Finding
from kedge.doctor import RUN, Context, of_detector
from kedge.doctor.anchor_checks import unanswered
from kedge.doctor.probe import match
from kedge.doctor.records import read_run
from kedge.doctor.run_checks import (
    background_loss,
    drift,
    early_box_loss,
    false_positives,
    moved_anchors,
    nan,
    no_positive_loss,
    recall_by_size,
    stopped,
)

SIZE = (256, 320)
FITTING = "16x14,15x51,43x28,20x84,76x69"  # k-means of the toy data
FALLING = [3.0 * 0.93**i for i in range(40)]


def context_of(data, run, anchors=FITTING, probe=None):
    setup = of_detector("yolov2", SIZE, anchors)
    context = Context(data=data, setup=setup, run=run)
    context.__dict__["probe"] = probe
    return context


def truth_rows(data, score=0.9):
    """Detections that are the objects themselves."""
    return [
        {
            "boxes": r.boxes[~r.crowd].copy(),
            "labels": r.labels[~r.crowd],
            "scores": np.full((~r.crowd).sum(), score),
        }
        for r in data.records
    ]


def test_a_healthy_run_raises_no_alarm(toys, make_run):
    probe = match(toys, truth_rows(toys), SIZE)
    assert (probe.recall, probe.precision) == (1, 1)
    run = make_run({"box": FALLING, "classification": FALLING})
    context = context_of(toys, run, probe=probe)
    assert [f for check in RUN for f in check(context) if check is not stopped.check] == []


# -- recall low and false positives high while the loss falls


def test_misfit_anchors_behind_a_falling_loss(toys, make_run, one):
    rows = truth_rows(toys)
    for row in rows:  # nine of ten objects missed, and boxes beside the objects
        row["boxes"] = np.concatenate([row["boxes"][::10], row["boxes"] + 60])
        row["labels"] = np.concatenate([row["labels"][::10], row["labels"]])
        row["scores"] = np.full(len(row["boxes"]), 0.8)
    probe = match(toys, rows, SIZE)
    assert probe.recall < 0.4
    run = make_run({"box": FALLING, "classification": FALLING})
    context = context_of(toys, run, "4x4,4x13,11x7,5x21,19x17", probe)
    found = one(false_positives.check, context, "loss_falls_but_detections_fail")
    assert found.severity == "error"
    assert "anchors do not fit" in found.cause
    assert found.evidence["objects_covered_by_anchors"] < 0.3
    assert found.predicted["covered_after"] > 0.8


def test_objects_that_nobody_labelled(toys, make_run, one):
    """Fitting anchors, and confident detections where no object is annotated."""
    rows = truth_rows(toys)
    few = replace(
        toys,
        records=[
            replace(r, boxes=r.boxes[:1], labels=r.labels[:1], crowd=r.crowd[:1] & False)
            for r in toys.records
            if len(r.boxes) >= 4
        ],
    )
    for row in rows:
        row["boxes"] = row["boxes"][1:]
        row["labels"], row["scores"] = row["labels"][1:], row["scores"][1:]
    rows = [row for row, r in zip(rows, toys.records) if len(r.boxes) >= 4]
    probe = match(few, rows, SIZE)
    assert probe.errors["background"] > 0.7 * sum(probe.errors.values())
    context = context_of(few, make_run({"box": FALLING}), probe=probe)
    found = one(false_positives.check, context, "loss_falls_but_detections_fail")
    assert "nobody labelled" in found.cause


def test_without_weights_the_scores_speak(toys, make_run, one):
    run = make_run({"box": FALLING}, scores=[{"epoch": 4, "AP50": 0.02}])
    context = context_of(toys, run, "3x3,4x4,5x5,6x6,7x7")
    found = one(false_positives.check, context, "loss_falls_but_detections_fail")
    assert "anchors do not fit" in found.cause
    flat = make_run({"box": [3.0] * 40}, scores=[{"epoch": 4, "AP50": 0.02}])
    assert false_positives.check(context_of(toys, flat)) == []


# -- drift to one side


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (lambda box: box + np.array([7, 0, 7, 0]), "same number of pixels"),
        (lambda box: box + np.tile((box[:, 2:] - box[:, :2]) / 2, 2), "xywh and cxcywh"),
        (lambda box: box * 1.15, "resized by different factors"),
        (lambda box: box - 16, "half a cell"),
    ],
    ids=["shifted labels", "corner for centre", "another scale", "half a stride"],
)
def test_drift_names_what_was_done_to_the_labels(toys, make_run, one, planted, said):
    """The detector is right; the annotations it is held against were spoiled."""
    rng = np.random.default_rng(0)
    rows = truth_rows(toys)
    for row in rows:
        row["boxes"] = row["boxes"] + rng.normal(0, 0.8, row["boxes"].shape)
    spoiled = replace(
        toys,
        records=[replace(r, boxes=planted(r.boxes).astype(np.float32)) for r in toys.records],
    )
    probe = match(spoiled, rows, SIZE)
    found = one(
        drift.check, context_of(spoiled, make_run({"box": FALLING}), probe=probe), "one_sided_boxes"
    )
    assert said in found.cause
    assert found.predicted["mean_error_after"] < 0.5 * found.predicted["mean_error_before"]


@pytest.mark.slow
def test_a_real_run_on_shifted_annotations_drifts(tmp_path, one):
    """Training boxes stand 7 pixels to the right of their objects, validation boxes on them: what
    the detector learned is told by its detections alone. About ten seconds."""
    from kedge.data import toy
    from kedge.doctor import open_context
    from kedge.train.config import make_config
    from kedge.train.run import train

    data = toy.write(tmp_path / "mini", train=48, val=64, size=(96, 128))
    page = json.loads((data / "train.json").read_text())
    for row in page["annotations"]:
        row["bbox"][0] += 7
    page["annotations"] = [a for a in page["annotations"] if a["bbox"][0] + a["bbox"][2] <= 128]
    (data / "train.json").write_text(json.dumps(page))
    settings = {"data": str(data), "image_size": (96, 128), "batch_size": 4, "epochs": 20}
    train(make_config(settings | {"flip": 0, "scale": (1, 1), "out": tmp_path / "run"}))
    found = one(drift.check, open_context(run=tmp_path / "run"), "one_sided_boxes")
    assert "right of their objects" in found.symptom
    across, down = found.evidence["mean_error_in_sides"]
    assert across > 0.1
    assert abs(down) < 0.05
    assert "same number of pixels" in found.cause


def test_noise_is_no_drift(toys, make_run):
    rng = np.random.default_rng(0)
    rows = truth_rows(toys)
    for row in rows:
        side = row["boxes"][:, 2:] - row["boxes"][:, :2]
        row["boxes"] = row["boxes"] + np.tile(side * rng.normal(0, 0.1, side.shape), 2)
    probe = match(toys, rows, SIZE)
    assert drift.check(context_of(toys, make_run({"box": FALLING}), probe=probe)) == []


# -- abnormal early box loss


def test_anchors_four_times_too_small_at_the_start(toys, make_run, one):
    small = [[s / 4 for s in map(float, shape.split("x"))] for shape in FITTING.split(",")]
    run = make_run(
        {"box": [12.0 * 0.85**i + 0.3 for i in range(40)]}, shapes=[{"step": 0, "shapes": small}]
    )
    found = one(early_box_loss.check, context_of(toys, run), "early_box_loss")
    assert "larger than their anchors" in found.cause
    assert 1.8 < found.evidence["factor"] < 4  # the largest shape of each cell answers
    assert found.predicted["after"] < 0.5 * found.predicted["before"]


def test_a_high_start_with_fitting_anchors_is_not_blamed_on_them(toys, make_run, one):
    run = make_run({"box": [200.0] * 3 + [0.5] * 37})
    found = one(early_box_loss.check, context_of(toys, run), "early_box_loss")
    assert found.cause.startswith("Not the anchors")
    assert early_box_loss.check(context_of(toys, make_run({"box": FALLING}))) == []


# -- one size band always missed


def probe_of(data, found):
    """What is seen of a detector that finds these objects (n,) and no others."""
    rows, start = [], 0
    for row in truth_rows(data):
        keep = found[start : start + len(row["boxes"])]
        start += len(keep)
        rows.append({key: value[keep] for key, value in row.items()})
    return match(data, rows, SIZE)


def test_a_size_band_that_the_anchors_miss(toys, make_run, one):
    """Anchors of 40 px and more; the detector finds what they cover."""
    anchors = "40x30,30x40,45x45,60x60,80x80"
    context = context_of(toys, make_run({"box": FALLING}), anchors)
    from kedge.doctor.objects import as_seen, pack

    side = as_seen(pack(toys.records), SIZE).fair.root_area
    context.__dict__["probe"] = probe_of(toys, side >= 32)
    found = one(recall_by_size.check, context, "missed_sizes")
    assert found.severity == "error"
    assert "misses exactly what its anchors miss" in found.cause
    assert "8-16 px" in found.evidence["not_covered_by_anchors"]
    assert "64-128 px" not in found.evidence["missed"]
    assert found.predicted["covered_after"] > found.predicted["covered_before"]
    fitting = context_of(toys, make_run({"box": FALLING}), FITTING, context.probe)
    other = one(recall_by_size.check, fitting, "missed_sizes")
    assert other.severity == "warning"
    assert "not the cause" in other.cause


def test_a_size_band_that_the_rule_leaves_without_anchors(toys, make_run, one):
    """LADA's shrunken boxes hold next to no centre where objects are small; only large ones are
    found. With a guarantee every object is taught, and something else has to be the cause."""
    context = context_of(toys, make_run({"box": FALLING}))
    context = replace(context, setup=of_detector("lada", SIZE))
    small = context.objects.fair.root_area < 16
    context.__dict__["probe"] = probe_of(toys, ~small)
    found = one(recall_by_size.check, context, "missed_sizes")
    left = (context.answers.positives == 0) & small
    assert found.cause == (
        "The rule leaves objects of these sizes without an anchor: "
        f"{left.sum() / small.sum():.0%} of 8-16 px.".replace("%", " %")
    )
    assert found.cure == "The rule has to answer for them first: see no_positive."
    assert one(unanswered.check, context, "no_positive").cure.endswith(
        "one free anchor for each such object: --assign lada:guarantee=true"
    )
    sure = replace(context.setup, assign=strategy("lada:guarantee=true"))
    sure = replace(context, setup=sure)
    sure.__dict__["probe"] = context.probe
    assert "too few examples" in one(recall_by_size.check, sure, "missed_sizes").cause


def test_large_objects_that_are_missed_are_not_short_of_pixels(toys, make_run, one):
    context = context_of(toys, make_run({"box": FALLING}))
    large = context.objects.fair.root_area >= 32
    context.__dict__["probe"] = probe_of(toys, ~large)
    found = one(recall_by_size.check, context, "missed_sizes")
    assert found.evidence["missed"] == ["32-64 px", "64-128 px"]
    assert "pixels" not in found.cause
    assert found.cure == "--epochs more, or more images with objects of these sizes."


# -- NaN


def test_nan_after_growth_is_the_learning_rate(toys, make_run, one):
    run = make_run({"box": [1.0, 1.1, 4, 30, 900, None], "classification": [1.0] * 5 + [None]})
    found = one(nan.check, context_of(toys, run), "nan_loss")
    assert found.evidence["first_step"] == 60
    assert "learning rate" in found.cause
    assert "--lr 0.0004" in found.cure


def test_nan_out_of_the_blue_with_bad_boxes(toys, make_run, one):
    bad = Finding(
        kind="zero area", image="a.png", record="object 3", message="no width", action="dropped"
    )
    data = replace(toys, findings=[bad])
    run = make_run({"box": [1.0] * 6 + [None], "classification": [1.0] * 7})
    found = one(nan.check, context_of(data, run), "nan_loss")
    assert found.evidence["terms"] == ["box"]
    assert "a.png" in found.cause
    half = make_run({"box": [1.0] * 6 + [None]}, settings={"precision": "16"})
    assert "overflow" in one(nan.check, context_of(toys, half), "nan_loss").cause
    single = make_run({"box": [1.0] * 6 + [None]})
    assert "single step" in one(nan.check, context_of(toys, single), "nan_loss").cause


def test_nan_of_a_real_run_with_an_absurd_learning_rate(tmp_path, one):
    from kedge.data import toy
    from kedge.train.config import make_config
    from kedge.train.module import Diverged
    from kedge.train.run import train

    folder = toy.write(tmp_path / "mini", train=8, val=2, size=(64, 96))
    out = tmp_path / "run"
    config = make_config(
        {
            "data": str(folder),
            "image_size": (64, 96),
            "batch_size": 4,
            "epochs": 20,
            "lr": 1e9,
            "lr_warmup": 0,
            "grad_clip": 0,
            "optimiser": "sgd",
            "out": out,
        }
    )
    with pytest.raises(Diverged):
        train(config)
    from kedge.doctor import open_context

    found = one(nan.check, open_context(run=out), "nan_loss")
    assert found.evidence["first_step"] <= 4
    assert "1e+09" in found.cause


# -- the rest


def test_no_positive_to_learn_from(toys, make_run, one):
    quiet = make_run({"box": [0.0] * 30, "classification": FALLING})
    lost = context_of(toys, quiet, probe=None)
    object.__setattr__(lost.answers, "positives", np.zeros_like(lost.answers.positives))
    found = one(no_positive_loss.check, lost, "zero_box_loss")
    assert "have no positive anchor" in found.cause
    fine = one(no_positive_loss.check, context_of(toys, quiet), "zero_box_loss")
    assert "The anchors are not it" in fine.cause
    assert no_positive_loss.check(context_of(toys, make_run({"box": FALLING}))) == []


def test_no_object_to_learn_from(make_data, make_run, one):
    context = context_of(make_data([[], []]), make_run({"box": [0.0] * 30}))
    assert "no object" in one(no_positive_loss.check, context, "zero_box_loss").cause


def test_what_the_run_logged_tells_data_from_weights(toys, make_run, one):
    """The same zero box loss: no positive, no object, or positives that do not weigh."""
    quiet = {"box": [0.0] * 30, "classification": FALLING}

    def cause_of(**facts):
        run = make_run(quiet)
        rows = [{**row, **facts} for row in run.metrics]
        return one(
            no_positive_loss.check, context_of(toys, replace(run, metrics=rows)), "zero_box_loss"
        )

    other = cause_of(objects=40, answered=2, positives=3)
    assert "5.0 % of the objects had a positive" in other.symptom
    assert "it saw other data" in other.cause
    assert other.evidence["positives_per_object_in_training"] == pytest.approx(3 / 40)
    assert "saw no object" in cause_of(objects=0, answered=0, positives=0).cause
    assert "weight of the box loss" in cause_of(objects=40, answered=40, positives=90).cause


def test_hardly_a_positive_is_told_whatever_the_box_loss(toys, make_run, one):
    run = make_run({"box": FALLING})
    facts = {"objects": 100, "answered": 3, "positives": 3}
    run = replace(run, metrics=[{**row, **facts} for row in run.metrics])
    found = one(no_positive_loss.check, context_of(toys, run), "zero_box_loss")
    assert found.evidence["answered_in_training"] == pytest.approx(0.03)


def test_real_runs_log_their_positives_and_the_doctor_reads_them(tmp_path, one):
    """Anchors of a few pixels, under YOLOv5's ratio test, learn nothing; fitting ones from all."""
    from kedge.data import toy
    from kedge.doctor import open_context
    from kedge.train.config import make_config
    from kedge.train.run import train

    data = toy.write(tmp_path / "mini", train=12, val=4, size=(64, 96))
    base = {"data": str(data), "image_size": (64, 96), "batch_size": 6, "epochs": 3}
    base |= {"log_every": 1, "assign": "yolov5"}
    train(make_config(base | {"anchors": "1x1,1x2,2x1", "out": tmp_path / "tiny"}))
    context = open_context(run=tmp_path / "tiny")
    found = one(no_positive_loss.check, context, "zero_box_loss")
    assert found.evidence["answered_in_training"] < 0.1
    assert "have no positive anchor" in found.cause
    assert found.predicted["covered_after"] > 0.5

    train(make_config(base | {"out": tmp_path / "fit"}))
    context = open_context(run=tmp_path / "fit")
    assert no_positive_loss.check(context) == []
    assert context.run.share("answered", "objects") > 0.9
    _, share = context.run.series("background_share")
    assert len(share) == 6
    assert ((share >= 0) & (share <= 1)).all()


def test_anchors_that_went_far(toys, make_run, one):
    start = [[5.0, 5.0], [10, 10], [12, 8], [8, 12], [9, 9]]
    end = [[20.0, 20.0], [40, 40], [48, 32], [32, 48], [36, 36]]
    rows = [
        {"step": 0, "shapes": start, "mean_best_iou": 0.2},
        {"step": 9, "shapes": end, "mean_best_iou": 0.6},
    ]
    run = make_run({"box": FALLING}, shapes=rows, settings={"learn_anchors": True})
    found = one(moved_anchors.check, context_of(toys, run), "anchors_moved_far")
    assert found.evidence["mean_factor"] == pytest.approx(4)
    assert "too small" in found.cause
    assert "--anchors 20.0x20.0,40.0x40.0" in found.cure
    assert (found.predicted["before"], found.predicted["after"]) == (0.2, 0.6)
    fixed = make_run({"box": FALLING}, shapes=rows)
    assert moved_anchors.check(context_of(toys, fixed)) == []


def test_a_loss_that_is_all_background(toys, make_run, one):
    probe = match(toys, truth_rows(toys), SIZE, background_share=0.95)
    context = context_of(toys, make_run({"box": FALLING}), probe=probe)
    found = one(background_loss.check, context, "background_loss")
    assert found.predicted["share_after"] < 0.6
    calm = match(toys, truth_rows(toys), SIZE, background_share=0.3)
    assert background_loss.check(context_of(toys, make_run({"box": FALLING}), probe=calm)) == []


def test_a_run_whose_log_says_that_all_is_background(toys, make_run, one):
    run = make_run({"box": FALLING})
    share = np.linspace(0.99, 0.9, len(run.metrics))
    rows = [{**row, "background_share": s} for row, s in zip(run.metrics, share)]
    found = one(
        background_loss.check, context_of(toys, replace(run, metrics=rows)), "background_loss"
    )
    assert found.evidence["from"] == "the run's log"
    assert 0.9 <= found.evidence["share"] < 0.92
    fell = [
        {**row, "background_share": s} for row, s in zip(run.metrics, np.linspace(0.99, 0.2, 40))
    ]
    assert background_loss.check(context_of(toys, replace(run, metrics=fell))) == []


def test_a_run_that_stopped(toys, make_run, one):
    assert "no losses" in one(stopped.check, context_of(toys, make_run({})), "run_stopped").symptom
    half = context_of(toys, make_run({"box": FALLING}))
    assert "before it saved weights" in one(stopped.check, half, "run_stopped").symptom


def test_detections_are_sorted_into_sorts_of_error(make_data):
    """By hand: a hit, the same object again, another class, a near miss, and thin air."""
    data = make_data([[[10, 10, 50, 50], [100, 100, 140, 140]]], [[0, 0]], size=(200, 300))
    rows = [
        {
            "boxes": np.array(
                [
                    [10, 10, 50, 50],
                    [12, 10, 50, 50],
                    [100, 100, 140, 140],
                    [120, 100, 160, 140],
                    [200, 10, 240, 50],
                    [0, 0, 9, 9],
                ],
                float,
            ),
            "labels": np.array([0, 0, 1, 0, 0, 0]),
            "scores": np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.1]),  # the last is below the line
        }
    ]
    probe = match(data, rows, (200, 300))
    assert probe.true_positives == 1
    assert probe.errors == {"background": 1, "badly placed": 1, "wrong class": 1, "twice": 1}
    assert probe.found.tolist() == [True, False]
    assert probe.precision == 0.2


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"config.yaml is missing"):
        read_run(tmp_path)


def test_a_run_with_half_a_line_of_losses(tmp_path):
    from kedge.train.config import make_config, save_config

    save_config(make_config({"data": "toy"}), tmp_path / "config.yaml")
    row = json.dumps({"step": 1, "loss": 2.0, "loss_box": None})
    (tmp_path / "metrics.jsonl").write_text(row + '\n{"step": 2, "lo')
    run = read_run(tmp_path)
    assert run.series("loss_box")[0].tolist() == [1]
    assert np.isnan(run.series("loss_box")[1]).all()
    assert not run.has_weights
