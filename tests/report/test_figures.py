"""What the figures show, by hand, and that nothing breaks them: no data, one point, NaN."""

import json
import math

import numpy as np
import pytest
import torch

from kedge.report import figures


def traces(figure, name):
    return [t for t in figure.data if t.name == name]


def test_density_counts_every_box_once_and_leaves_out_what_has_no_logarithm():
    wh = [(10, 20), (10, 20), (100, 50), (0, 5), (math.inf, 3), (math.nan, 3)]
    counted = figures.density(wh, bins=8)
    assert counted.counts.shape == (8, 8)
    assert counted.counts.sum() == 3
    i = np.digitize(10, counted.width_edges) - 1
    j = np.digitize(20, counted.height_edges) - 1
    assert counted.counts[i, j] == 2  # first axis width, second height
    ratios = counted.width_edges[1:] / counted.width_edges[:-1]
    np.testing.assert_allclose(ratios, ratios[0])


def test_plane_puts_anchors_where_they_are_and_the_heatmap_the_right_way_up():
    wh = np.array([[10.0, 100.0]] * 3)
    figure = figures.shape_plane(wh, {"mine": torch.tensor([[16.0, 32.0]], requires_grad=True)})
    marker = traces(figure, "mine")[0]
    assert (marker.x[0], marker.y[0]) == (16, 32)
    heat = next(t for t in figure.data if t.type == "heatmap")
    row, column = np.argwhere(~np.isnan(heat.z))[0]  # plotly: z[y, x]
    assert heat.x[column] <= 10 <= heat.x[column + 1]
    assert heat.y[row] <= 100 <= heat.y[row + 1]


def test_plane_takes_a_histogram_counted_elsewhere():
    edges = np.geomspace(4, 64, 5)
    counts = np.zeros((4, 4))
    counts[1, 2] = 1e9  # a billion boxes cost nothing
    ready = figures.Density(counts=counts, width_edges=edges, height_edges=edges)
    figure = figures.shape_plane(ready, {})
    assert np.nanmax(next(t for t in figure.data if t.type == "heatmap").z) == pytest.approx(9)


def test_paths_start_hollow_and_end_filled():
    track = np.array([[[8, 8], [9, 9]], [[16, 8], [20, 30]], [[32, 8], [40, 60]]], dtype=float)
    figure = figures.shape_paths({"run": track}, epochs=[0, 5, 10])
    line, start, end = traces(figure, "run")
    np.testing.assert_array_equal(line.x, [8, 16, 32, np.nan, 9, 20, 40, np.nan])
    np.testing.assert_array_equal(line.customdata, [0, 5, 10, np.nan] * 2)
    assert (list(start.x), list(end.x)) == ([8, 9], [32, 40])
    with pytest.raises(ValueError, match=r"paths\['flat'\] must have the shape"):
        figures.shape_paths({"flat": [[1, 2]]})


def test_a_curve_is_the_mean_of_its_seeds_and_skips_epochs_without_a_value():
    figure = figures.training_curve({"run": [[1, np.nan, 3], [3, np.nan, 5]]}, "AP")
    band, line = figure.data
    assert (list(line.x), list(line.y)) == ([1, 3], [2, 4])
    assert list(band.y) == [3, 5, 3, 1]


def test_histogram_of_best_iou_is_a_share():
    figure = figures.best_iou_histogram({"a": [0.1, 0.1, 0.9, 1.0]}, bins=10)
    assert sum(figure.data[0].y[1:-1:2]) == pytest.approx(1)
    assert figure.data[0].name == "a (mean 0.525)"


def test_coverage_by_size_is_the_mean_of_each_size():
    figure = figures.coverage_by_size([8, 8, 64], {"a": [0.2, 0.4, 0.9]}, bins=2)
    assert list(figure.data[0].y) == pytest.approx([0.3, 0.9])
    assert list(figure.data[1].y) == [2, 1]
    shares = figures.coverage_by_size([8, 8, 64], {"a": [0.2, 0.4, 0.9]}, bins=2, threshold=0.4)
    assert list(shares.data[0].y) == pytest.approx([0.5, 1.0])


def test_groups_can_be_sorted_by_the_first_set_worst_on_top_and_nan_last():
    scores = {"a": [0.5, math.nan, 0.1], "b": [0.6, 0.2, 0.3]}
    figure = figures.coverage_by_group(["x", "y", "z"], scores, counts=[10, 0, 2000], sort=True)
    assert list(figure.layout.yaxis.ticktext) == ["z  <i>2,000</i>", "x  <i>10</i>", "y  <i>0</i>"]
    np.testing.assert_array_equal(traces(figure, "b")[0].x, [0.3, 0.6, 0.2])


def test_positives_per_object_gathers_the_tail_and_shows_who_has_none():
    figure = figures.positives_per_object({"MaxIoU": [0, 1, 1, 30]}, most=5)
    assert figure.data[0].name == "no positive (25.0%)"
    assert list(figure.data[1].y) == [0.5, 0, 0, 0, 0.25]
    pair = figures.positives_per_object({"a": [0, 1], "b": [2, 2]}, most=3)
    assert [t.name for t in pair.data] == ["a (none: 50.0%)", "b (none: 0.0%)"]


@pytest.mark.parametrize(
    "figure",
    [
        figures.shape_plane([], {}),
        figures.shape_plane([], {"a": [(8, 8)]}),
        figures.shape_plane([(5, 5)], {"a": []}),
        figures.shape_paths({}),
        figures.shape_paths({"a": np.zeros((0, 5, 2))}),
        figures.training_curve({}, "loss"),
        figures.training_curve({"a": [math.nan]}, "loss"),
        figures.training_curve({"a": [1.0]}, "loss"),
        figures.best_iou_histogram({"a": []}),
        figures.coverage_by_size([], {"a": []}),
        figures.coverage_by_size([5], {"a": [1]}),
        figures.coverage_by_group([], {}),
        figures.coverage_by_group(["x"], {"a": [math.nan]}),
        figures.threshold_sweep([], {}),
        figures.positives_per_object({"a": []}),
        figures.bars([], {}, title="t"),
        figures.knee_curve([], {}),
    ],
)
def test_little_or_nothing_still_makes_a_figure(figure):
    assert json.loads(figure.to_json())["layout"]["height"] > 0
