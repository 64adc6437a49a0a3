"""Anchors that were spoiled on purpose: the doctor must say how."""

import re

import numpy as np
import pytest
import torch

from kedge import Grid, Level
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.doctor import ANCHORS, Context, Setup, of_detector
from kedge.doctor.anchor_checks import (
    dead_shapes,
    fit,
    offset,
    poorly_covered,
    positive_share,
    positives,
    redundant_shapes,
    regression_targets,
    thresholds,
    unanswered,
    uncovered,
)
from kedge.doctor.anchor_checks.thresholds import recommend
from kedge.doctor.answers import Overlaps
from kedge.doctor.setups import of_config
from kedge.train.config import make_config

SIZE = (256, 320)


def setup_of(shapes, stride=8.0, offset=0.5, size=SIZE, focal=False, **assign):
    """One level, fixed thresholds."""
    return Setup(
        title="test",
        grid=Grid(size, [Level(stride=stride, shapes=shapes, offset=offset)]),
        assign=MaxIoU(**assign),
        coder=DeltaCoder(),
        flags="",
        focal=focal,
    )


@pytest.fixture
def squares(make_data):
    """Sixty images, each with squares of 20, 40 and 80 pixels at random places of 256 x 320."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(60):
        side = np.array([[20.0], [40.0], [80.0]]).repeat(2, 1)
        corner = rng.random((3, 2)) * (np.array([320, 256]) - side)
        images.append(np.concatenate([corner, corner + side], axis=1))
    return make_data(images, [[0, 0, 1]] * 60, size=SIZE)


def context_of(data, setup):
    return Context(data=data, setup=setup)


def test_anchors_that_fit_raise_no_alarm(squares):
    context = context_of(squares, setup_of([(20, 20), (40, 40), (80, 80)], stride=4.0, focal=True))
    found = [f for check in ANCHORS for f in check(context)]
    assert {f.severity for f in found} == {"note"}
    assert not {f.check for f in found} & {"no_positive", "poorly_covered", "uncovered_sizes"}


def test_without_anchors_or_objects_nothing_is_said(squares, make_data):
    bare = Context(data=squares)
    empty = context_of(make_data([[], []], size=SIZE), setup_of([(20, 20)]))
    for check in ANCHORS:
        assert check(bare) == []
        assert check(empty) == []


@pytest.mark.parametrize(
    ("shapes", "said", "bands"),
    [
        ([(80, 80), (90, 90)], "smaller than every anchor", ["16-32 px", "32-64 px"]),
        ([(20, 20), (22, 22)], "larger than every anchor", ["32-64 px", "64-128 px"]),
        ([(20, 20), (80, 80)], "between the shapes", ["32-64 px"]),
    ],
)
def test_a_size_that_no_anchor_has_is_named(squares, one, shapes, said, bands):
    context = context_of(squares, setup_of(shapes))
    found = one(poorly_covered.check, context, "poorly_covered")
    assert found.severity in ("error", "warning")
    main = max(found.evidence["of_these"], key=found.evidence["of_these"].get)
    assert main.startswith(said)
    assert said in found.cause
    sizes = one(uncovered.check, context, "uncovered_sizes")
    assert sizes.evidence["missed_bands"] == bands
    if len(bands) == 2:  # two shapes can mend that; a third size they cannot cover
        assert found.predicted["covered_after"] > found.predicted["covered_before"] + 0.2
        assert found.cure.startswith("kedge design made --k 2 --image-size 256 320 --strides 8")
    else:
        assert "More shapes" in found.cure


def test_shares_by_class_and_size(squares, one):
    found = one(
        poorly_covered.check, context_of(squares, setup_of([(20, 20), (40, 40)])), "poorly_covered"
    )
    assert found.evidence["share"] == pytest.approx(1 / 3)
    assert found.evidence["by_class"] == {"dog": 1.0}
    assert found.evidence["by_size"] == {"small": 0.0, "medium": 0.5, "large": None}
    assert found.evidence["worst_images"][0] == {"image": "0.jpg", "objects": 1}


def test_elongated_objects(make_data, one):
    data = make_data([[[10, 10 + i, 130, 22 + i]] for i in range(40)], size=SIZE)
    context = context_of(data, setup_of([(38, 38), (27, 54)]))
    found = one(poorly_covered.check, context, "poorly_covered")
    assert "more elongated than every anchor" in found.cause
    aspect = one(uncovered.check, context, "uncovered_aspect_ratios")
    assert aspect.evidence["missed_bands"] == ["1/16-1/8"]
    assert "taller than 1/16-1/8" in aspect.cause
    assert aspect.predicted["after"] == 1


def test_cells_too_far_apart(squares, one):
    """The shapes fit exactly, but an anchor every 64 px misses most objects of 20 px."""
    context = context_of(squares, setup_of([(20, 20), (40, 40), (80, 80)], stride=64.0))
    found = one(poorly_covered.check, context, "poorly_covered")
    assert list(found.evidence["of_these"]) == [
        "fitted by a shape, but the cells stand too far apart for their size (stride 64)"
    ]


def test_the_right_shapes_on_the_wrong_levels(squares, one):
    """Sorted by area and dealt out evenly, squares of 20 px land on a level of stride 64."""
    levels = [Level(stride=8, shapes=[(4, 4)]), Level(stride=64, shapes=[(20, 20), (40, 40)])]
    levels += [Level(stride=128, shapes=[(80, 80)])]
    grid = Grid(SIZE, levels)
    setup = Setup(title="", grid=grid, assign=MaxIoU(), coder=DeltaCoder(), flags="")
    found = one(poorly_covered.check, context_of(squares, setup), "poorly_covered")
    assert found.severity == "error"
    assert "too coarse a level (stride 64, 128)" in found.cause
    assert found.predicted["covered_after"] > found.predicted["covered_before"] + 0.2


def test_two_objects_that_want_one_anchor(make_data, one):
    data = make_data([[[100, 100, 132, 132], [101, 101, 133, 133]]] * 5, size=SIZE)
    context = Context(data=data, setup=of_detector("yolov2", SIZE, "32x32,64x64"))
    found = one(unanswered.check, context, "no_positive")
    assert found.severity == "error"
    assert found.evidence["share"] == 0.5
    assert found.cause == "5 lose their anchors to other objects; alone they would have some."


def test_a_cure_that_only_moves_the_loss_is_not_named(make_data, one):
    """The best anchor of a tiny object belongs to the large one; one of the two has none."""
    data = make_data([[[0, 0, 64, 64], [30, 30, 34, 34]]] * 5, size=(64, 64))
    setup = setup_of([(60, 60)], stride=64.0, size=(64, 64))
    found = one(unanswered.check, context_of(data, setup), "no_positive")
    assert found.evidence["share"] == 0.5
    assert "rescuer" not in found.cure  # the large one would have none: nothing is gained
    assert found.cure.startswith("Nothing that was tried helps")
    assert found.predicted is None


def test_mean_best_iou(squares, one):
    good = one(fit.check, context_of(squares, setup_of([(20, 20), (40, 40), (80, 80)])), "best_iou")
    assert good.severity == "note"
    assert good.evidence["mean_centres_aligned"] == pytest.approx(1)
    assert good.evidence["mean"] < 1
    assert len(good.evidence["deciles"]) == 11
    bad = one(fit.check, context_of(squares, setup_of([(6, 6), (7, 7)])), "best_iou")
    assert bad.severity == "warning"
    assert bad.predicted["mean_best_iou_after"] > 0.5


def test_dead_and_redundant_shapes(squares, one):
    shapes = [(20, 20), (40, 40), (40.5, 40), (80, 80), (250, 250), (10, 200)]
    context = context_of(squares, setup_of(shapes))
    dead = one(dead_shapes.check, context, "dead_shapes")
    assert [(r["w"], r["h"]) for r in dead.evidence["shapes"]] == [(250, 250), (10, 200)]
    assert dead.predicted["anchors_spared"] == pytest.approx(1 / 3)
    assert dead.predicted["covered_after"] == dead.predicted["covered_before"]
    twin = one(redundant_shapes.check, context, "redundant_shapes")
    assert [(r["w"], r["h"]) for r in twin.evidence["shapes"]] == [(40.5, 40)]
    assert twin.predicted["covered_after"] == pytest.approx(
        twin.predicted["covered_before"], abs=0.01
    )


def test_identical_shapes_leave_one(squares, one):
    found = one(
        redundant_shapes.check, context_of(squares, setup_of([(40, 40)] * 5)), "redundant_shapes"
    )
    assert (found.severity, len(found.evidence["shapes"])) == ("warning", 4)


def test_levels_that_never_answer(squares, one):
    grid = Grid(SIZE, [Level(stride=8, shapes=[(40, 40)]), Level(stride=64, shapes=[(900, 900)])])
    setup = Setup(title="", grid=grid, assign=MaxIoU(), coder=DeltaCoder(), flags="")
    found = one(positives.check, context_of(squares, setup), "positives")
    assert found.severity == "warning"
    assert "none on stride 64" in found.symptom
    shares = found.evidence["share_by_stride"]
    assert shares == {"8": 1.0, "64": 0.0}
    assert sum(found.evidence["objects_by_positives"].values()) == pytest.approx(1)


def test_rare_positives(squares, one):
    setup = setup_of([(20, 20), (40, 40), (80, 80)])
    context = context_of(squares, setup)
    found = one(positive_share.check, context, "positive_share")
    numbers = found.evidence
    assert found.severity == "warning"  # nobody said that the loss can bear it
    assert numbers["positive"] == context.answers.per_shape.sum()
    assert (
        numbers["positive"] + numbers["negative"] + numbers["ignored"]
        == numbers["anchors"]
        == 60 * len(setup.grid)
    )
    assert found.predicted["share_after_sampling"] == pytest.approx(0.25)


def test_background_that_puts_out_a_squared_objectness(squares, one):
    """YOLOv2's five shapes in 320 cells, three objects; the cure is applied."""
    config = make_config({"detector": "yolov2", "image_size": SIZE, "anchors": "yolov2_coco"})
    found = one(
        positive_share.check, context_of(squares, of_config(config, squares, "")), "positive_share"
    )
    assert found.severity == "warning"
    numbers = found.evidence
    assert numbers["negative"] / numbers["positive"] == pytest.approx(320 * 5 / 3, rel=0.01)
    loss = re.search(r"--loss (\S+?);", found.cure)[1]
    cured = of_config(config.model_copy(update={"loss": loss}), squares, "")
    left = one(positive_share.check, context_of(squares, cured), "positive_share")
    assert left.severity == "note"
    few = of_config(config.model_copy(update={"anchors": "24x24"}), squares, "")
    [left] = positive_share.check(context_of(squares, few))
    assert left.severity == "note"


def test_anchors_at_the_corner_of_wide_cells(squares, one):
    shapes = [(20, 20), (40, 40), (80, 80)]
    corner = one(
        offset.check, context_of(squares, setup_of(shapes, stride=32.0, offset=0.0)), "offset"
    )
    middle = context_of(squares, setup_of(shapes, stride=32.0))
    assert offset.check(middle) == []
    assert corner.evidence["mean_best_iou_centred"] == pytest.approx(
        float(middle.answers.best.mean())
    )


def test_one_sided_anchors(make_data, one):
    """One cell, and its anchor at the corner: all objects lie to the right and below."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 24, (40, 1, 2))
    data = make_data(np.concatenate([corner, corner + 40], axis=2), size=(64, 64))
    setup = setup_of([(60, 60)], stride=64.0, offset=0.0, size=(64, 64), positive=0.1, negative=0.1)
    context = context_of(data, setup)
    assert one(offset.check, context, "offset").severity == "warning"
    found = one(regression_targets.check, context, "regression_targets")
    assert found.severity == "warning"
    assert "right and below" in found.symptom
    assert "offset" in found.cause


def test_regression_targets_by_hand(make_data, one):
    """Objects twice the anchor's size on its centre: targets (0, 0, log 2, log 2)."""
    boxes = [[[20, 20, 60, 60]], [[60, 100, 100, 140]]]
    setup = setup_of([(20, 20)], stride=40.0, size=(160, 160), positive=0.2, negative=0.2)
    found = {
        f.check: f
        for f in regression_targets.check(context_of(make_data(boxes, size=(160, 160)), setup))
    }
    numbers = found["regression_targets"].evidence
    assert numbers["mean"]["w"] == pytest.approx(np.log(2), rel=1e-5)
    assert numbers["std"]["w"] == pytest.approx(0, abs=1e-6)
    assert numbers["mean"]["x"] == pytest.approx(0, abs=1e-6)
    assert "far_regression_targets" not in found  # log 2 is below the limit of .7


def test_the_recommended_normalisation_normalises(squares, one):
    context = context_of(squares, setup_of([(30, 30), (60, 60)], positive=0.4, negative=0.3))
    found = one(regression_targets.check, context, "regression_targets")
    coder = eval(found.cure, {"DeltaCoder": DeltaCoder})
    new = Setup(
        title="",
        grid=context.setup.grid,
        assign=context.setup.assign,
        coder=coder,
        flags="",
    )
    codes = context_of(squares, new).answers.codes
    np.testing.assert_allclose(codes.std(axis=0), 1, rtol=0.01)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.01)


def test_anchors_of_another_scale_are_named(toys, one):
    setup = of_detector("yolov2", SIZE, "4x5,8x10,12x4,3x12,9x9")
    context = Context(data=toys, setup=setup)
    found = one(regression_targets.check, context, "far_regression_targets")
    assert found.severity in ("warning", "error")
    assert "another scale" in found.cause
    assert "larger" in found.cause
    assert found.predicted["log_ratio_after"] < 0.5 * found.predicted["log_ratio_before"]


def test_the_threshold_is_lowered_where_it_asks_too_much(squares, one):
    context = context_of(squares, setup_of([(28, 28), (110, 110)], positive=0.7, negative=0.3))
    found = one(thresholds.check, context, "thresholds")
    assert found.severity == "warning"
    assert found.evidence["recommended"][0] < 0.5
    assert found.predicted["left_out_after"] < found.predicted["left_out_before"] - 0.3
    assert found.cure.startswith("MaxIoU(positive=")
    row = found.evidence["sweep"][0]
    assert row["positives"] + row["ignored"] + row["negatives"] == context.overlaps.anchors


def test_the_recommended_pair_by_hand():
    def over(own):
        return Overlaps(iou=np.zeros(0), own=np.array(own), anchors=1)

    assert recommend(over([0.9] * 100)) == (0.7, 0.6)
    assert recommend(over([0.9] * 99 + [0.1])) == (0.7, 0.6)  # one in a hundred may be left out
    assert recommend(over([0.9] * 98 + [0.52, 0.1])) == (0.5, 0.4)
    assert recommend(over([0.1] * 100)) == (0.35, 0.25)


def test_published_retinanet_on_real_images(shared_data, one):
    from kedge.data import read

    path = shared_data / "aerial_cars"
    if not path.is_dir():
        pytest.skip("aerial_cars is missing")
    data = read(path, "val", "drop")
    context = Context(data=data, setup=of_detector("retinanet"))
    dead = one(dead_shapes.check, context, "dead_shapes")
    assert len(dead.evidence["shapes"]) >= 10  # anchors of 512 px for cars of 27 px
    assert torch.isfinite(torch.from_numpy(context.answers.codes)).all()


def test_a_loss_in_which_every_object_counts_the_same_is_known(squares):
    for detector, words, said in (
        ("retinanet", "per_object=true", True), ("retinanet", "box=giou", False),
        ("yolov2", "per_object=true", True),
    ):  # fmt: skip
        config = make_config({"detector": detector, "loss": words, "anchors": "identical"})
        assert of_config(config, squares, "").per_object is said
