"""``fit`` and the methods behind it: known answers, edge cases, and who beats whom on what."""

import json
import math

import numpy as np
import pytest
import torch

from kedge.anchors.presets import preset
from kedge.design import (
    BPR,
    Curve,
    MeanIoU,
    Points,
    RatioFitness,
    Recall,
    fit,
    judge,
    k_curve,
    measure,
    pyramid,
    split_images,
)
from kedge.design.ascent import ascend
from kedge.design.evolution import evolution
from kedge.design.judging import Candidate, Trial
from kedge.design.kmeans import kmeans
from kedge.design.objectives import best_shape, value
from kedge.design.problem import Problem, stages_of_sizes
from kedge.design.sketch import Sketch
from kedge.evaluate import mean_best_iou


def boxes(n: int = 4000, seed: int = 0) -> np.ndarray:
    """Log-normal sizes, wider than high."""
    random = np.random.default_rng(seed)
    scale, ratio = random.lognormal(4, 0.9, n), random.lognormal(-0.2, 0.5, n)
    return np.stack([scale, scale * ratio], 1).clip(1, 640)


def problem(wh: np.ndarray, k: int, objective=None, restarts: int = 16) -> Problem:
    points = Points.of(wh)
    stages = stages_of_sizes(points, Sketch.of(wh))
    return Problem(stages=stages, k=k, objective=objective or MeanIoU(), restarts=restarts)


def test_metrics_by_hand_as_yolov5_prints_them():
    found = measure(
        Points.of([(10, 13), (20, 60), (100, 90)]), torch.tensor(preset("yolov3").levels[0].shapes)
    )
    assert found.bpr == 1
    assert found.aat == 2
    assert found.fitness == pytest.approx(0.585185, abs=1e-6)


def test_metrics_equal_a_dense_computation():
    wh, shapes = boxes(300), torch.tensor([[20.0, 30.0], [80.0, 40.0], [200.0, 150.0]])
    found = measure(Points.of(wh), shapes)
    overlap = np.minimum(wh[:, None], shapes.numpy()).prod(-1)
    iou = overlap / (wh.prod(1)[:, None] + shapes.numpy().prod(1) - overlap)
    ratio = wh[:, None] / shapes.numpy()
    close = np.minimum(ratio, 1 / ratio).min(-1)
    assert found.mean_best_iou == pytest.approx(iou.max(1).mean(), abs=1e-6)
    assert found.recall == pytest.approx((iou.max(1) >= 0.5).mean())
    assert found.bpr == pytest.approx((close.max(1) > 0.25).mean())
    assert found.aat == pytest.approx((close > 0.25).sum(1).mean(), abs=1e-6)
    assert math.isnan(measure(Points.of(np.empty((0, 2))), shapes).bpr)


@pytest.mark.parametrize("objective", [MeanIoU(), Recall(), RatioFitness(), BPR()])
def test_gradient_of_the_smooth_score_is_right(objective):
    """Central differences in float64 against autograd, through the best shape."""
    points = Points.of(boxes(50))
    points = Points(w=points.w.double(), h=points.h.double(), weight=points.weight.double())
    start = torch.tensor([[30.3, 41.7], [100.1, 87.3]], dtype=torch.float64).log()

    def smooth(log_shapes: torch.Tensor) -> torch.Tensor:
        shapes = log_shapes.exp()
        best = torch.stack(
            [objective.similarity(points, w, h, i) for i, (w, h) in enumerate(shapes)]
        )
        return objective.smooth(best.max(0).values, 1.0).mean()

    assert torch.autograd.gradcheck(smooth, start.requires_grad_(), eps=1e-7, atol=1e-5)


def test_best_shape_in_pieces_is_the_whole():
    points, shapes = Points.of(boxes(3000)), torch.rand(3, 5, 2) * 100 + 5
    whole = best_shape(MeanIoU(), points, shapes, chunk=10**9)
    pieces = best_shape(MeanIoU(), points, shapes, chunk=1)
    assert torch.equal(whole[0], pieces[0])
    assert torch.equal(whole[1], pieces[1])


def test_ascent_never_returns_worse_than_the_start():
    points = Points.of(boxes(500))
    start = (torch.rand(4, 3, 2) * 200 + 5).log()
    _, score = ascend(MeanIoU(), points, start, iterations=15)
    assert bool((score >= value(MeanIoU(), points, start.exp()).float() - 1e-6).all())


def test_one_shape_is_the_optimum_of_a_fine_search():
    wh = boxes(400)
    found = fit(wh, 1)
    side = np.exp(np.linspace(np.log(5), np.log(400), 120))
    trial = torch.tensor([[[a, b]] for a in side for b in side], dtype=torch.float32)
    best = value(MeanIoU(), Points.of(wh), trial).max().item()
    assert found.mean_best_iou >= best - 1e-6


def test_separate_clusters_are_found_exactly():
    wh = [(10, 30)] * 50 + [(60, 20)] * 30 + [(100, 150)] * 20 + [(101, 150)]
    design = fit(wh, 4)
    assert design.mean_best_iou == pytest.approx(1, abs=1e-4)
    assert design.distinct == 4


@pytest.mark.parametrize("k", [3, 6])
def test_default_beats_every_other_method_on_mean_iou(k):
    wh = boxes(800)
    ours = fit(wh, k).mean_best_iou
    for method in ("kmeans", "kmedians", "yolov5"):
        other = fit(wh, k, method=method)
        assert ours >= other.mean_best_iou - 1e-6
        assert other.method == method


def test_default_beats_differential_evolution_on_mean_iou():
    pytest.importorskip("scipy")
    wh = boxes(600)
    other = evolution(problem(wh, 3), generations=60)
    assert fit(wh, 3).mean_best_iou >= mean_best_iou(wh, other) - 1e-6


def test_default_beats_yolov5_on_its_own_fitness():
    wh = boxes(800)
    peer = fit(wh, 6, method="yolov5")
    assert fit(wh, 6, "fitness").metrics.fitness >= peer.metrics.fitness - 1e-6


def test_each_objective_wins_at_its_own_number():
    wh = boxes(1500)
    designs = {name: fit(wh, 4, name, restarts=32) for name in ("mean_iou", "recall", "bpr")}
    for name in designs:
        attribute = {"mean_iou": "mean_best_iou"}.get(name, name)
        numbers = {n: getattr(d.metrics, attribute) for n, d in designs.items()}
        assert numbers[name] >= max(numbers.values()) - 1e-4, (name, numbers)


def test_placed_design_serves_more_objects_on_the_grid_than_mean_iou():
    wh = boxes(1200)
    random = np.random.default_rng(1)
    centres = wh / 2 + random.random(wh.shape) * (640 - wh)
    grid = {"image_size": 640, "strides": (8, 16, 32), "centres": centres, "restarts": 12}
    placed, plain = fit(wh, 6, "placed", **grid), fit(wh, 6, **grid)
    assert placed.placed_recall > plain.placed_recall
    assert [len(level.shapes) for level in placed.levels] == [2, 2, 2]
    assert sum(len(level.shapes) for level in plain.levels) == 6


def test_every_kind_of_array_gives_the_same():
    wh = boxes(500)
    first = fit(wh, 3).shapes
    for other in (wh.tolist(), torch.tensor(wh), wh.astype(np.float32)):
        torch.testing.assert_close(fit(other, 3).shapes, first, rtol=1e-4, atol=0)
    sketch = fit(Sketch.of(wh), 3)
    assert mean_best_iou(wh, sketch.shapes) == pytest.approx(mean_best_iou(wh, first), abs=2e-3)


def test_deterministic_by_seed_and_sorted_by_area():
    wh = boxes(800)
    design, again = fit(wh, 5, seed=4), fit(wh, 5, seed=4)
    assert torch.equal(design.shapes, again.shapes)
    area = design.shapes.prod(1)
    assert bool((area[1:] >= area[:-1]).all())


def test_identical_boxes_give_different_shapes_and_a_note():
    design = fit([(57, 57)] * 100, 9)
    assert len(torch.unique(design.shapes, dim=0)) == 9
    assert "use k = 1" in design.notes[0]
    assert design.mean_best_iou == pytest.approx(1)


def test_absurd_outliers_do_not_move_the_shapes():
    wh = boxes(800)
    clean = fit(wh, 4).shapes
    dirty = fit(np.concatenate([wh, [(1e7, 1e7), (1e-4, 1e-4)]]), 4).shapes
    torch.testing.assert_close(dirty, clean, rtol=0.05, atol=0)


def test_unusable_boxes_are_dropped_and_counted():
    design = fit([(10, 20), (30, 40), (0, 1), (float("inf"), 3), (float("nan"), 3)], 1)
    assert design.dropped == 3
    assert design.boxes == 2
    assert "3 boxes" in design.notes[0]


def test_json_keys():
    design = fit(boxes(300), 3, image_size=(480, 640), strides=(16, 32))
    found = json.loads(json.dumps(design.to_dict()))
    assert {"shapes", "mean_best_iou", "bpr", "seconds", "aat", "levels"} <= set(found)
    assert len(found["shapes"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wh": []}, "no box"),
        ({"wh": [(0, 0)]}, "no box"),
        ({"k": 0}, "k:"),
        ({"restarts": 0}, "restarts"),
        ({"objective": "best"}, "mean_iou"),
        ({"method": "magic"}, "kmeans"),
        ({"strides": (8,)}, "image_size"),
        ({"objective": "placed"}, "strides"),
        ({"strides": (8, 16), "image_size": 64, "per_level": (3, 3), "k": 4}, "per_level"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(**{"wh": [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)], "k": 2, **arguments})


def test_the_curve_rises_and_bends_at_the_number_of_clusters():
    random = np.random.default_rng(0)
    centres = np.array([[12, 15], [60, 30], [150, 200]])
    wh = np.concatenate([c * random.uniform(0.95, 1.05, (300, 2)) for c in centres])
    curve = k_curve(problem(wh, 1), range(1, 9), restarts=8)
    assert curve.knee == 3
    assert list(curve.value) == sorted(curve.value)
    assert "<- knee" in curve.text()
    assert k_curve(problem(np.array([[5.0, 5.0]] * 4), 1), range(1, 4), restarts=2).knee == 1


@pytest.mark.parametrize("objective", [BPR(), Recall(), Recall(threshold=1.1), RatioFitness()])
def test_the_curve_shows_the_shares_themselves(objective):
    wh = np.random.default_rng(0).uniform(20, 60, (300, 2))
    curve = k_curve(problem(wh, 1, objective), range(1, 5), restarts=4)
    assert curve.objective == objective.name
    assert 0 <= min(curve.value) <= max(curve.value) <= 1
    if objective.name != "fitness":
        hits = np.multiply(curve.value, len(wh))
        assert hits == pytest.approx(np.round(hits))
    assert curve.text().count("\n") == 3


def test_a_long_curve_is_shown_in_part_with_its_knee_and_its_end():
    value = tuple(1 - 1 / k for k in range(1, 68))
    text = Curve(objective="placed", k=tuple(range(1, 68)), value=value, knee=12).text()
    lines = text.splitlines()
    assert [int(line.split()[0]) for line in lines] == [*range(1, 12, 3), 12, *range(13, 68, 3)]
    assert lines[4].endswith("<- knee")
    assert lines[-1].startswith(" 67  0.9851")


def test_pyramid_recovers_its_own_parameters():
    strides, ratios = (8, 16, 32), np.array([0.5, 1.0, 2.0])
    random = np.random.default_rng(0)
    size = 5 * random.choice(strides, 3000) * random.uniform(0.98, 1.02, 3000)
    ratio = random.choice(ratios, 3000)
    wh = np.stack([size / np.sqrt(ratio), size * np.sqrt(ratio)], 1)
    found = pyramid(problem(wh, 9, restarts=12), strides, scales=1)
    assert found.sizes == pytest.approx((40, 80, 160), rel=0.02)
    assert found.h_over_w == pytest.approx((0.5, 1, 2), rel=0.03)
    assert found.shapes.shape == (9, 2)


def test_pyramid_beats_retinanet_on_other_data():
    wh = boxes(2000) * 0.3
    found = pyramid(problem(wh, 9, restarts=8), (8, 16, 32))
    published = [s for level in preset("retinanet").levels[:3] for s in level.shapes]
    assert mean_best_iou(wh, found.shapes) > mean_best_iou(wh, published) + 0.02


def test_whole_images_are_held_out():
    image = torch.tensor([7, 7, 3, 3, 3, 9, 1, 1, 4, 5])
    train, held = split_images(image, 0.4, seed=0)
    assert not set(image[train].tolist()) & set(image[held].tolist())
    assert len(set(image[held].tolist())) == 2
    assert bool((train ^ held).all())


def judged(shapes) -> Candidate:
    return Candidate(torch.as_tensor(shapes, dtype=torch.float32), MeanIoU())


def compare(points, image, new, rivals, **words):
    """The verdict of one trial."""
    return judge([Trial(points, image, new)], rivals, **words)


def test_verdict_keeps_what_is_as_good_and_replaces_what_is_not():
    wh, image = boxes(2000), torch.arange(2000) // 10
    points = Points.of(wh)
    good = fit(boxes(2000, seed=1), 5).shapes
    poor = torch.tensor(preset("identical").shapes)
    keep = compare(points, image, judged(good * 1.001), {"mine": judged(good)}, in_use="mine")
    assert keep.keep == "mine"
    assert keep.text.startswith("Keep what you have (mine)")
    change = compare(points, image, judged(good), {"mine": judged(poor)}, in_use="mine")
    assert change.keep is None
    assert change.gain > 0.1 > change.error
    published = compare(points, image, judged(good), {"yolov3": judged(good)})
    assert published.text.startswith("Published anchors do as well")
    more = compare(points, image, judged(good), {"more": judged(torch.cat([good, good * 1.3]))})
    assert more.keep is None  # twice the shapes are no fair rival
    with pytest.raises(ValueError, match="in_use"):
        compare(points, image, judged(good), {}, in_use="mine")


def test_standard_error_is_over_images_not_boxes():
    """The same boxes copied into every image tell nothing new: the error must not shrink by it."""
    wh, shapes = boxes(200), [[40.0, 40.0]]
    once = compare(
        Points.of(wh), torch.arange(200), judged(shapes), {"a": judged([[60.0, 50.0]])}, in_use="a"
    )
    copies = compare(
        Points.of(np.repeat(wh, 10, 0)),
        torch.arange(200).repeat_interleave(10),
        judged(shapes),
        {"a": judged([[60.0, 50.0]])},
        in_use="a",
    )
    assert copies.error == pytest.approx(once.error, rel=1e-4)


@pytest.mark.slow
def test_goals_on_coco(shared_data):
    from kedge.design import as_seen, letterbox, read_table

    path = shared_data / "coco2017_boxes" / "train2017.npz"
    wh = as_seen(read_table(path), letterbox(640)).wh
    assert len(wh) == 860_001
    assert fit(wh, 9).mean_best_iou >= 0.6113  # YOLOv3's published anchors: 0.61130
    assert fit(wh, 5).mean_best_iou >= 0.5387
    assert kmeans(wh, 9).shape == (9, 2)
