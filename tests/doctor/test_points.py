"""Detectors whose anchors are points, whose strategy reads predictions, or of two stages."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import kedge.doctor.setups as setups
from kedge import Grid, Level
from kedge.assign.by_name import strategy
from kedge.assign.fcos import FCOS
from kedge.assign.guaranteed import Guaranteed
from kedge.assign.lada import LADA
from kedge.assign.max_iou import MaxIoU
from kedge.assign.tal import TAL
from kedge.boxes import simd
from kedge.coders import LTRBCoder
from kedge.detectors.dense import Dense, Maps
from kedge.doctor import Context, Setup, examine, of_detector
from kedge.doctor.anchor_checks import finer_level, positives, unanswered
from kedge.doctor.scene import scene_of_detector
from kedge.doctor.show import about
from kedge.losses import DenseLoss
from kedge.pages.doctor import write_overview, write_page
from kedge.select import Selection

SHAPES = (
    "poorly_covered", "uncovered_sizes", "uncovered_aspect_ratios", "best_iou", "offset",
    "far_regression_targets", "dead_shapes", "redundant_shapes", "fewer_shapes",
)  # fmt: skip


class Dots(Dense):
    """A point in every cell of stride 16 and 32."""

    def __init__(self, *, num_classes, assign=None):
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=16), Level(stride=32)],
            assign=FCOS() if assign is None else assign,
            coder=LTRBCoder(),
            loss=DenseLoss(),
            selection=Selection(most=10),
            multiple=32,
        )
        self.layer = nn.Linear(1, 1)

    def predict_maps(self, images) -> Maps:
        raise AssertionError("the doctor needs no prediction")


@pytest.fixture
def dots(monkeypatch):
    """``--detector dots``, with the strategy that is asked for."""

    def make(assign=None, size=(128, 160)):
        monkeypatch.setattr(
            setups, "detector_class", lambda name: lambda **k: Dots(assign=assign, **k)
        )
        return of_detector("dots", size)

    return make


def test_points_are_counted_by_the_detectors_rule(dots, make_data, one):
    """By hand: centres of stride 16 stand at 8, 24, 40 ... A box from 0 to 32 holds four of them,
    one of 4 px between them none."""
    data = make_data([[[0, 0, 32, 32], [29, 29, 33, 33]]], [[0, 1]], size=(128, 160))
    context = Context(data=data, setup=dots())
    assert context.answers.positives.tolist() == [4, 0]
    lost = one(unanswered.check, context, "no_positive")
    assert lost.evidence["because"] == {"have no anchor's centre inside": 1}
    assert "1 of 2 objects (50 %) has no positive anchor" in lost.symptom
    found = one(positives.check, context, "positives")
    assert found.evidence["share_by_stride"] == {"16": 1.0, "32": 0.0}
    finer = one(finer_level.check, context, "finer_level")
    assert finer is None  # centres of stride 8 at 28 and 36 miss it, too


def test_a_finer_level_of_points_where_it_wins(dots, make_data, one):
    """A box of 6 px around (12, 12): no centre of stride 16 inside, one of stride 8."""
    data = make_data([[[9, 9, 15, 15], [0, 0, 32, 32]]] * 4, [[0, 1]] * 4, size=(128, 160))
    context = Context(data=data, setup=dots())
    found = one(finer_level.check, context, "finer_level")
    assert found.cure == "One more level: Level(stride=8)"
    assert (found.predicted["before"], found.predicted["after"]) == (0.5, 1.0)


def test_checks_of_shapes_are_left_out_and_it_is_said(dots, toys, tmp_path):
    context = Context(data=toys, setup=dots(size=(256, 320)))
    names = {finding.check for finding in examine(context)}
    assert not names & set(SHAPES)
    assert "points" in about(context)["left out"]
    assert "a point in every cell of stride 16, 32" in about(context)["anchors"]
    page = write_page(tmp_path / "d.html", context, examine(context)).read_text()
    assert ">Positives<" in page
    assert ">Coverage<" not in page
    assert write_overview(tmp_path / "r.html", context).is_file()


def test_a_rule_that_reads_predictions_is_counted_by_its_candidates(dots, make_data, one):
    """TAL takes what lies inside; with sides raised to a cell every object has a centre inside."""
    data = make_data([[[0, 0, 32, 32], [29, 29, 33, 33]]], [[0, 1]], size=(128, 160))
    context = Context(data=data, setup=dots(TAL()))
    assert context.setup.by_predictions
    assert "its candidates are counted" in about(context)["anchors"]
    assert context.answers.positives.tolist() == [4 + 1, 0]  # one centre of stride 32, too
    lost = one(unanswered.check, context, "no_positive")
    assert "no anchor that TAL could choose" in lost.symptom
    assert lost.cure.startswith("TAL(min_side=16)")
    floored = Context(data=data, setup=dots(TAL(min_side=16.0)))
    assert (floored.answers.positives > 0).all()


def test_ladas_candidates_lie_in_the_shrunken_object(dots, make_data):
    """A box from 0 to 27: shrunk by sqrt(1 / 2) on stride 16 it holds one centre of four, on stride
    32 it stays. One from 35 to 45 shrinks to 36.5 ... 43.5 and holds the centre at 40, one
    from 50 to 54 none."""
    data = make_data(
        [[[0, 0, 27, 27], [35, 35, 45, 45], [50, 50, 54, 54]]], [[0, 1, 1]], size=(128, 160)
    )
    context = Context(data=data, setup=dots(LADA()))
    assert context.answers.positives.tolist() == [1 + 1, 1, 0]


def test_a_guarantee_is_the_last_resort_and_keeps_the_promise(dots, make_data, one):
    """As above: LADA leaves the object from 50 to 54 without a candidate."""
    boxes = [[[0, 0, 27, 27], [35, 35, 45, 45], [50, 50, 54, 54]]]
    data = make_data(boxes, [[0, 1, 1]], size=(128, 160))
    context = Context(data=data, setup=dots(LADA(k=5)))
    lost = one(unanswered.check, context, "no_positive")
    *others, last = lost.cure.split("\nor, instead of that: ")
    assert last.endswith("for each such object: --assign lada:k=5,guarantee=true")
    assert others  # better ones come first
    assert lost.predicted["or"][-1] == 0
    sure = Context(data=data, setup=dots(strategy("lada:k=5,guarantee=true")))
    assert sure.answers.positives.tolist() == [1 + 1, 1, 1]
    assert not unanswered.check(sure)
    assert "LADA, which chooses by predictions" in about(sure)["anchors"]
    assert "an anchor for every object left without" in about(sure)["anchors"]


def test_a_guarantee_hides_no_threshold(dots, make_data):
    """What the doctor knows of MaxIoU it knows of one with a guarantee."""
    data = make_data([[[0, 0, 27, 27]]], [[0]], size=(128, 160))
    plain = Context(data=data, setup=of_detector("retinanet", (128, 160)))
    rule = Guaranteed(strategy=MaxIoU(positive=0.7))
    sure = Context(data=data, setup=replace(plain.setup, assign=rule))
    assert sure.setup.thresholded
    assert sure.setup.threshold == 0.7
    assert sure.setup.rule.startswith("MaxIoU 0.7 / 0.4 and low-quality matches; and an anchor")
    assert {f.check for f in examine(sure)} >= {"thresholds"}


def test_another_measure_than_the_iou_is_called_by_its_name(make_data, one):
    """One object on a cell's corner: its best anchor there has a SimD of exp(-(6.13^2 + 4.59^2)^.5
    / 8), of no use to a rule that asks for .7. Nothing is said of an IoU that nobody asks about."""
    data = make_data([[[4, 4, 20, 20]]], [[0]], size=(128, 160))
    grid = Grid((128, 160), [Level(stride=16, shapes=[(16, 16)], offset=0.5)])
    rule = MaxIoU(positive=0.7, negative=0.3, low_quality="none", measure="simd")
    setup = Setup(title="", grid=grid, assign=rule, coder=LTRBCoder(), flags="")
    context = Context(data=data, setup=setup)
    pair = grid.best(context.sample.targets(0, 1))
    similar = float(simd(pair.boxes()[:1], pair.target_boxes()[:1]))
    assert similar == pytest.approx(math.exp(-math.hypot(6.13, 4.59) / 8))
    assert similar < 0.7
    assert setup.rule == "MaxIoU by SimD 0.7 / 0.3"
    assert not setup.thresholded
    lost = one(unanswered.check, context, "no_positive")
    words = "have no anchor with SimD >= 0.7, and the rule rescues none for them"
    assert lost.evidence["because"] == {words: 1}
    assert "thresholds" not in {f.check for f in examine(context)}


def test_strategies_are_compared_on_points(dots, toys):
    dots()
    scene = scene_of_detector("dots", None, (128, 160), toys.records[:4])
    assert len(scene.grid) == 8 * 10 + 4 * 5
    with pytest.raises(ValueError, match="points, without shapes"):
        of_detector("dots", (128, 160), "10x10")


def test_of_two_stages_the_first_is_looked_at(toys):
    context = Context(data=toys, setup=of_detector("faster_rcnn", (256, 320)))
    assert "its region proposals" in about(context)["anchors"]
    rule = context.setup.assign
    targets = context.sample.targets(0, 1)
    by_hand = torch.bincount(rule(context.setup.grid, targets).target, minlength=len(targets))
    fair = ~targets.ignore
    first = context.fair.image == 0
    np.testing.assert_array_equal(context.answers.positives[first], by_hand[fair].numpy())
