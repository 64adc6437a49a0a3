"""The study: every run of a plan once, rows that outlive a kill, differences paired by seed."""

import json
import sys

import numpy as np
import pytest
import yaml
from conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))
import paired
import study
from page_shapes import learned_shapes
from page_strategies import strategies_study
from page_study import study as page
from page_study import study_rows
from page_suspects import suspects

PLANS = REPOSITORY / "benchmarks" / "plans"
FOUR = ("hit_uav", "receipt_lines", "aerial_cars", "bccd")
MINI = """
name: mini
seeds: 2
common: {data: toy, train_split: val, eval_split: val, image_size: [64, 96], batch_size: 50}
data: {toy: {epochs: 2, eval_every: 1}}
detectors: {yolov2: {}, ssd: {seeds: 1}}
anchors: {fixed: {}, learned: {learn_anchors: true}}
starts: {kmeans: {anchors: kmeans}, one: {anchors: kmeans, num_anchors: 1}}
cells:
  - {detectors: yolov2, starts: kmeans}
  - {anchors: fixed, starts: [kmeans, one]}
"""


def cells_of(name: str) -> tuple[dict, list[study.Cell]]:
    plan = yaml.safe_load((PLANS / f"{name}.yaml").read_text())
    return plan, study.cells_of(plan, PLANS / "runs")


@pytest.mark.parametrize("name", [path.stem for path in PLANS.glob("*.yaml")])
def test_a_plan_says_each_run_once_and_the_first_seed_of_all_before_the_second(name):
    plan, cells = cells_of(name)
    keys = [cell.key for cell in cells]
    assert len(keys) == len(set(keys)) == len({cell.config.out for cell in cells})
    seeds = [cell.seed for cell in cells]
    assert seeds == sorted(seeds)
    with pytest.raises(ValueError, match="starts has no 'kmens'; there are "):
        study.cells_of(plan | {"cells": [{"starts": "kmens"}]}, PLANS)


def test_the_plans_learn_from_bad_starts_on_four_sets_and_on_two_in_each_detector():
    _, suspects = cells_of("suspects")
    for data in FOUR:
        for start in ("identical", "coco"):
            mine = [
                c
                for c in suspects
                if (c.names[0], *c.names[2:]) == (data, "learned_entropy", start)
            ]
            assert len(mine) == 5
            assert all(cell.config.learn_anchors for cell in mine)
    _, others = cells_of("learned_anchors")
    for data, detectors in [(d, ["ssd"]) for d in FOUR] + [
        (d, ["retinanet", "faster_rcnn"]) for d in ("bccd", "aerial_cars")
    ]:
        for detector in detectors:
            for kind, start in [
                ("fixed", "identical"),
                ("fixed", "kmeans"),
                ("placed", "identical"),
            ]:
                assert sum(c.names == (data, detector, kind, start) for c in others) == 3


def test_every_row_that_is_kept_is_a_run_of_a_plan():
    planned = {cell.key for path in PLANS.glob("*.yaml") for cell in cells_of(path.stem)[1]}
    assert set(study.kept_in(study.ROWS)) <= planned


def test_finished_runs_are_rows_and_are_not_trained_again(tmp_path, monkeypatch):
    plan, rows = tmp_path / "mini.yaml", tmp_path / "rows.jsonl"
    plan.write_text(MINI)
    cells = study.cells_of(yaml.safe_load(MINI), tmp_path / "runs")
    assert [cell.key.removeprefix("mini/toy/") for cell in cells] == [
        "yolov2/fixed/kmeans/0", "yolov2/learned/kmeans/0", "yolov2/fixed/one/0",
        "ssd/fixed/kmeans/0", "ssd/fixed/one/0",
        "yolov2/fixed/kmeans/1", "yolov2/learned/kmeans/1", "yolov2/fixed/one/1",
    ]  # fmt: skip
    rows.write_text(json.dumps({"key": "another/study", "old": True}) + "\n")
    monkeypatch.setattr(study.keep, "__defaults__", (rows,))
    words = ["study.py", str(plan), "--runs", str(tmp_path / "runs"), "--only", "toy/yolov2"]
    monkeypatch.setattr(sys, "argv", [*words, "--seeds", "1"])
    study.main()
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["key"] for row in found] == [
        "another/study", "mini/toy/yolov2/fixed/kmeans/0", "mini/toy/yolov2/fixed/one/0",
        "mini/toy/yolov2/learned/kmeans/0",
    ]  # fmt: skip
    fixed, one, learned = found[1:]
    assert fixed["shapes"]["initial"] == fixed["shapes"]["final"] != learned["shapes"]["final"]
    assert len(one["shapes"]["final"]) == 1
    assert learned["settings"]["learn_anchors"] is True
    assert "learn_anchors" not in fixed["settings"]
    assert len(fixed["AP50 by class"]) > 1
    assert [epoch for epoch, _ in fixed["curve"]] == [1, 2]
    assert fixed["curve"][-1][1] == fixed["scores"]["AP50"]
    assert 0 <= fixed["scores"]["AP50"] <= 1
    monkeypatch.setattr(study, "train", None)  # would fail: nothing is left to train
    study.main()
    assert [json.loads(line) for line in rows.read_text().splitlines()] == found


def test_differences_are_paired_by_seed():
    rows = [
        {"start": start, "seed": seed, "scores": {"AP50": value}}
        for start, values in (("a", (0.5, 0.6, 0.7)), ("b", (0.4, 0.52, 0.59, 0.9)))
        for seed, value in enumerate(values)
    ]
    found = paired.paired(rows, lambda r: r["start"] == "a", lambda r: r["start"] == "b")
    assert found is not None
    assert found.pairs == 3
    assert found.mean == pytest.approx((10 + 8 + 11) / 3)
    # every mean of three of 8, 10, 11 with replacement, by their number
    means = sorted((a + b + c) / 3 for a in (8, 10, 11) for b in (8, 10, 11) for c in (8, 10, 11))
    low, high = np.percentile(np.repeat(means, 400), [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.2)
    assert found.verdict == "+"
    assert paired.bootstrap([-1, 2, 0.5]).verdict == "~"
    assert paired.bootstrap([-1, -2, -0.5]).verdict == "-"
    assert paired.bootstrap([5, 6]).verdict == "~"
    assert paired.paired(rows, lambda r: False, lambda r: True) is None


def test_the_page_says_what_the_rows_bear(tmp_path):
    def row(start, anchors, seed, score):
        return {
            "study": "mini", "data": "d", "detector": "x", "start": start, "anchors": anchors,
            "seed": seed, "scores": {"AP50": score}, "fit": {"initial": 0.5, "final": 0.6},
            "commit": "abc",
        }  # fmt: skip

    rows = [row("kmeans", "fixed", s, 0.5 + s / 100) for s in range(3)]
    rows += [row("kmeans", "learned", s, 0.55 + s / 100) for s in range(3)]
    rows += [row("coco", "fixed", s, 0.5) for s in range(3)]
    rows += [row("coco", "learned", s, (0.4, 0.45, 0.47)[s]) for s in range(3)]
    rows += [row("one", "fixed", s, 0.52 + s / 100) for s in range(3)]
    path = tmp_path / "study.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    path.write_text(
        path.read_text() + json.dumps(row("one", "fixed", 0, 0) | {"study": "b"}) + "\n"
    )
    text = page(study_rows(path, "mini"))
    assert "Better than fixed: learned from kmeans. Worse than fixed: learned from coco." in text
    assert "+5.0 [+5.0, +5.0]" in text
    assert "+3.0 [+3.0, +3.0]" in text  # to one shape
    assert "15 runs" in text
    assert page(study_rows(tmp_path / "none.jsonl", "mini")) == ""


def test_the_page_compares_what_counts_the_same():
    def row(start, anchors, seed, score, rare):
        return {
            "data": "d", "detector": "x", "start": start, "anchors": anchors, "seed": seed,
            "scores": {"AP50": score, "AP": score / 2}, "fit": {"final": 0.6}, "commit": "a",
            "AP50 by class": {"frequent": 0.8, "rare": rare},
        }  # fmt: skip

    rows = [row("kmeans", "fixed", s, 0.5 + s / 100, 0.2) for s in range(3)]
    assert "What counts the same" not in page(rows)
    rows += [row("kmeans", "per_object", s, 0.53 + s / 100, 0.26) for s in range(3)]
    rows += [row("kmeans", "by_class", s, 0.51 + s / 100, 0.19) for s in range(2)]
    text = page(rows)
    objects, classes = (
        next(line for line in text.splitlines() if f"| {what} " in line and "frequent" in line)
        for what in ("objects", "classes")
    )
    assert "+3.0 [+3.0, +3.0]" in objects
    assert "+1.5 [+1.5, +1.5]" in objects
    assert "frequent +0.0, rare +6.0" in objects
    assert "+1.0 (2 seeds: no interval)" in classes
    assert "rare -1.0" in classes


def test_the_page_of_suspects_answers_what_was_run():
    def row(start, anchors, seed, score):
        return {
            "data": "d", "detector": "x", "start": start, "anchors": anchors, "seed": seed,
            "scores": {"AP50": score, "AR100": 0.3}, "fit": {"final": 0.6}, "commit": "a",
        }  # fmt: skip

    rows = [row("kmeans", "fixed", s, 0.5 + s / 100) for s in range(3)]
    rows += [row("one", "fixed", s, 0.55 + s / 100) for s in range(3)]
    rows += [row("kmeans", "entropy", s, 0.6 + s / 100) for s in range(2)]
    text = suspects(rows)
    assert "Five k-means shapes less one, squared errors: -5.0 [-5.0, -5.0]" in text
    assert "cross-entropy less squared errors, five shapes: +10.0 (2 seeds: no interval)" in text
    assert "less one, cross-entropy" not in text  # never run
    assert "8 runs" in text
    assert suspects([]) == ""
    longer = row("one", "entropy", 0, 0.7) | {"detector": "longer", "curve": [[2, 0.5], [4, 0.7]]}
    text = suspects([*rows, longer])
    assert "| d    | longer   | entropy | one   |    0 |  50 |   70 |" in text
    assert "9 runs" in text


def test_the_page_of_learned_shapes_has_each_aid_and_each_number():
    def row(start, anchors, seed, score):
        return {
            "data": "d", "detector": "x", "start": start, "anchors": anchors, "seed": seed,
            "scores": {"AP50": score, "AP": score}, "fit": {"initial": 0.4, "final": 0.6},
        }  # fmt: skip

    rows = [row("kmeans", "entropy", s, 0.5) for s in range(3)]
    rows += [row("three", "entropy", s, 0.51 + s / 100) for s in range(3)]
    rows += [row("three", "learned_entropy", s, 0.56 + s / 100) for s in range(3)]
    assert learned_shapes(rows) == ""  # two numbers are no table, and no aid was tried
    rows += [row("nine", "entropy", 0, 0.48)]
    text = learned_shapes(rows)
    assert "Which aid" not in text
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    kept = [line for line in found if len(line) == 9 and line[0] == "d"]
    assert [line[1] for line in kept[-3:]] == ["3", "5", "9"]
    three, five, nine = kept[-3:]
    assert three[5] == "+2.0 [+1.0, +3.0]"  # less five
    assert three[8] == "+5.0 [+5.0, +5.0]"  # learned less k-means
    assert (five[5], five[8]) == ("", "-")
    assert nine[5] == "-2.0 (1 seed: no interval)"
    rows = [row("identical", kind, 0, 0.5) for kind in ("entropy", "learned_entropy", "bare")]
    rows += [row("identical", "hard", 0, 0.45)]
    lines = [line for line in learned_shapes(rows).splitlines() if "gradient:" in line]
    assert [line.count("-5.0 (1 seed: no interval)") for line in lines] == [2]
    assert "the detector's gradient alone" in learned_shapes(rows)
    assert learned_shapes([]) == ""


def test_the_page_of_strategies_orders_and_says_how_sure_it_is():
    def row(detector, seed, ap, small):
        scores = {"AP": ap, "AP50": ap, "AR100": ap, "APs": small, "APm": ap, "APl": ap}
        return {
            "data": "d", "detector": detector, "seed": seed, "scores": scores, "commit": "a",
            "seconds": 10, "steps": 100,
        }  # fmt: skip

    rows = [row("fcos", s, 0.5 + s / 100, 0.4) for s in range(3)]
    rows += [row("atss", s, 0.53 + s / 100, 0.3) for s in range(3)]
    rows += [row("paa", s, 0.52 + s / 100, 0.2) for s in range(2)]
    text = strategies_study(rows)
    assert "AP here: atss less fcos +3.0 [+3.0, +3.0]; paa less atss -1.0 (2 seeds" in text
    assert "lada less" not in text  # never run
    assert "small objects fcos, medium objects atss, large objects atss" in text
    assert "no order is certain: paa." in text
    assert text.index("| atss ") < text.index("| paa ") < text.index("| fcos ")
    assert strategies_study([]) == ""
