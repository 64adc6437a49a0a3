"""The sketch: exact sums, merging in any order, the same bins from polars."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.design.network import letterbox
from kedge.design.sketch import Sketch
from kedge.design.streaming import sketch_of_table
from kedge.evaluate import mean_best_iou


def random_boxes(n: int, seed: int = 0) -> np.ndarray:
    boxes = np.random.default_rng(seed).lognormal(4, 1, (n, 2))
    return boxes.astype(np.float32).astype(np.float64)


def same(a: Sketch, b: Sketch) -> None:
    np.testing.assert_array_equal(a.keys, b.keys)
    np.testing.assert_allclose(a.sums, b.sums, rtol=1e-12)
    assert a.dropped == b.dropped


def test_sums_are_exact():
    wh = random_boxes(5000)
    sketch = Sketch.of(wh)
    logs = np.rint(np.log2(wh) * 2**20) / 2**20
    expected = [5000, *(math.fsum(column) for column in (*wh.T, *logs.T))]
    assert sketch.sums.sum(0).tolist() == expected
    assert len(sketch) < 5000


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 5000), st.floats(0.01, 5000), st.integers(0, 3)), max_size=40
    ),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_parts_merge_to_the_whole_in_any_grouping(rows, i, j):
    table = np.array(rows, np.float64).reshape(-1, 3)
    wh, label = table[:, :2], table[:, 2].astype(int)
    cut = sorted((i, j))
    pieces = [slice(0, cut[0]), slice(cut[0], cut[1]), slice(cut[1], None)]
    a, b, c = (Sketch.of(wh[p], label[p]) for p in pieces)
    whole = Sketch.of(wh, label)
    same((a + b) + c, whole)
    same(c + (b + a), whole)
    same(whole + Sketch.empty(), whole)


def test_unusable_boxes_are_counted_not_binned():
    sketch = Sketch.of([(10, 10), (0, 3), (np.nan, 3), (np.inf, 2), (-4, 2)])
    assert (sketch.count, sketch.dropped) == (1, 4)
    assert Sketch.of(np.empty((0, 2))).count == 0


def test_classes_apart_and_together():
    wh, label = random_boxes(900), np.arange(900) % 3
    sketch = Sketch.of(wh, label)
    assert sketch.labels == (0, 1, 2)
    np.testing.assert_array_equal(sketch.of_label(1).sums, Sketch.of(wh[label == 1]).sums)
    same(sketch.without_labels(), Sketch.of(wh))
    assert Sketch.of(wh).labels == (-1,)


@pytest.mark.parametrize("labels", [range(-1, 30), (0, 70_000)])
def test_many_boxes_are_counted_class_by_class_to_the_same_bits(labels, monkeypatch):
    rng = np.random.default_rng(0)
    wh = rng.lognormal(0, 1, (2_000, 2)) - 0.5
    label = rng.choice(np.array(labels), 2_000)
    at_once = Sketch.of(wh, label)
    monkeypatch.setattr("kedge.design.sketch._MANY", 1)
    by_class = Sketch.of(wh, label)
    assert at_once.dropped
    assert at_once.dropped == by_class.dropped
    assert np.array_equal(at_once.keys, by_class.keys)
    assert np.array_equal(at_once.sums, by_class.sums)


def test_coarser_points_keep_the_sums():
    wh = random_boxes(3000)
    sketch = Sketch.of(wh)
    for bins in (4, 8, 16, 32):
        mean, weight = sketch.points(bins)
        torch.testing.assert_close(
            (mean.double() * weight.double()[:, None]).sum(0),
            torch.tensor(wh.sum(0)),
            rtol=1e-5,
            atol=0,
        )
    assert len(sketch.points(4)[0]) < len(sketch.points(32)[0])
    with pytest.raises(ValueError, match="divisor of 32"):
        sketch.points(5)


def test_points_stand_in_for_the_boxes():
    wh = random_boxes(20_000)
    shapes = [(20, 30), (60, 60), (200, 150)]
    mean, weight = Sketch.of(wh).points()
    assert mean_best_iou(mean, shapes, weight) == pytest.approx(mean_best_iou(wh, shapes), abs=3e-4)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_polars_counts_the_same_bins(tmp_path, ending):
    pl = pytest.importorskip("polars")
    wh = random_boxes(400)
    wh[3], wh[5] = (0, 3), (np.inf, 2)
    side = np.full(400, 1280)
    frame = pl.DataFrame({"w": wh[:, 0], "h": wh[:, 1], "width": side, "height": side // 2})
    path = tmp_path / f"boxes.{ending}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[ending](
        path
    )
    same(sketch_of_table(path, letterbox(640)), Sketch.of(wh * 0.5))


def test_table_without_sizes_says_what_it_needs(tmp_path):
    pl = pytest.importorskip("polars")
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "x.csv")
    with pytest.raises(ValueError, match="x1, y1"):
        sketch_of_table(tmp_path / "x.csv")
