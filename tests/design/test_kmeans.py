"""k-means of box sizes: by hand, its edge cases, and against a plain loop."""

import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from kedge.boxes import shape_iou, side_iou
from kedge.design.kmeans import fill_up, kmeans
from kedge.design.threads import one_thread
from kedge.evaluate import mean_best_iou


def centred(wh: torch.Tensor) -> torch.Tensor:
    return torch.cat([-wh / 2, wh / 2], 1)


def test_mean_best_iou_by_hand():
    # 10 x 10 in 20 x 10: 100 / 200; 20 x 10 with itself: 1
    assert mean_best_iou([(10, 10), (20, 10)], [(20, 10)]) == pytest.approx(0.75)
    assert mean_best_iou([(10, 10), (20, 10)], [(20, 10)], weights=[3, 1]) == pytest.approx(0.625)
    assert math.isnan(mean_best_iou(np.empty((0, 2)), [(20, 10)]))


def test_shape_iou_is_torchvisions_iou_of_centred_boxes():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(n, 2, generator=generator) * 100 + 1 for n in (40, 7))
    ours = shape_iou(a[:, None], b[None])
    torch.testing.assert_close(ours, box_iou(centred(a), centred(b)))
    sides = side_iou(a[:, None, 0], a[:, None, 1], b[None, :, 0], b[None, :, 1])
    assert torch.equal(sides, ours)


@pytest.mark.parametrize("update", ["mean", "median"])
def test_separate_clusters_are_found(update):
    random = np.random.default_rng(0)
    centres = np.array([[10, 30], [60, 20], [100, 150]])
    wh = np.concatenate([c * random.uniform(0.97, 1.03, (200, 2)) for c in centres])
    shapes = kmeans(wh, 3, update=update)
    np.testing.assert_allclose(shapes.numpy(), centres, rtol=0.01)


def test_mean_update_is_the_mean_of_the_members():
    wh = [(10, 10), (12, 10), (100, 100), (110, 90)]
    assert kmeans(wh, 2, metric="euclidean").tolist() == [[11, 10], [105, 95]]


def test_an_update_that_lowers_the_mean_iou_is_not_kept():
    wh = [(10, 10), (12, 10), (100, 100), (110, 90)]
    found = mean_best_iou(wh, kmeans(wh, 2))
    assert found > mean_best_iou(wh, [(11, 10), (105, 95)])  # the means of the same clusters


def test_median_ignores_an_outlier_where_the_mean_does_not():
    wh = [(10, 10), (10, 10), (11, 10), (400, 10)]
    assert kmeans(wh, 1, update="median").tolist() == [[10, 10]]
    assert kmeans(wh, 1, metric="euclidean").tolist() == [[107.75, 10]]


def test_weights_count_as_repetition():
    wh = np.array([(10.0, 12.0), (30.0, 20.0), (31.0, 25.0), (90.0, 60.0), (95.0, 80.0)])
    weight = np.array([3, 1, 4, 2, 2])
    repeated = kmeans(np.repeat(wh, weight, 0), 2, seed=1)
    assert torch.equal(kmeans(wh, 2, weights=weight, seed=1), repeated)


def test_fewer_distinct_boxes_than_shapes_gives_k_different_shapes():
    shapes = kmeans([(57, 57)] * 100, 9)
    assert shapes.shape == (9, 2)
    assert len(torch.unique(shapes, dim=0)) == 9
    assert (57, 57) in [tuple(s) for s in shapes.tolist()]
    two = kmeans([(10, 20)] * 5 + [(40, 30)], 2)
    assert two.tolist() == [[10, 20], [40, 30]]


def test_the_callers_threads_are_given_back_even_after_an_error():
    torch.set_num_threads(2)
    try:
        kmeans([(10, 20)], 1)
        with pytest.raises(ValueError, match="k:"):
            kmeans([(10, 20)], 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_threads_are_given_back_to_all_whose_work_overlaps():
    """Two threads inside at once, entering and leaving in every order, one of them nested."""
    torch.set_num_threads(3)
    inside, leave, seen = threading.Barrier(2), threading.Event(), {}

    def late() -> None:
        with one_thread(), one_thread():
            inside.wait()
            leave.wait()
            seen["late, inside"] = torch.get_num_threads()
        seen["late"] = torch.get_num_threads()

    try:
        other = threading.Thread(target=late)
        with one_thread():
            other.start()
            inside.wait()
            with one_thread():
                pass
            assert torch.get_num_threads() == 1
        seen["early"] = torch.get_num_threads()
        leave.set()
        other.join()
        new = threading.Thread(target=lambda: seen.update(new=torch.get_num_threads()))
        new.start()
        new.join()
        assert seen == {"early": 3, "late, inside": 1, "late": 3, "new": 3}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_many_overlapping_clusterings_leave_the_number_of_threads():
    torch.set_num_threads(2)
    wh = np.random.default_rng(0).lognormal(4, 1, (400, 2))
    try:
        workers = [threading.Thread(target=kmeans, args=(wh, 5)) for _ in range(6)]
        for worker in workers:
            worker.start()
        kmeans(wh, 5)
        for worker in workers:
            worker.join()
        assert torch.get_num_threads() == 2
        found: list[int] = []
        new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert found == [2]
    finally:
        torch.set_num_threads(1)


def test_fill_up_repeats_at_other_sizes_commonest_first():
    shapes = fill_up(torch.tensor([[8.0, 8.0], [1.0, 2.0]]), 3)
    assert shapes[2].tolist() == pytest.approx([8 * 2 ** (1 / 3)] * 2)


def test_unusable_boxes_are_left_out():
    bad = [(0, 5), (float("nan"), 1), (float("inf"), 2), (-1, 3)]
    assert kmeans([(10, 20), *bad], 1).tolist() == [[10, 20]]
    with pytest.raises(ValueError, match="no box"):
        kmeans(bad, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k:"),
        ({"k": 1, "restarts": 0}, "restarts"),
        ({"k": 1, "metric": "l1"}, "metric"),
        ({"k": 1, "update": "mode"}, "update"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        kmeans([(1, 2)], **arguments)


def test_wrong_shape_of_wh_is_named():
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        kmeans(np.ones((3, 4)), 1)


def test_same_seed_same_shapes_and_area_order():
    wh = np.random.default_rng(0).lognormal(4, 1, (500, 2))
    first, again = kmeans(wh, 6, seed=3), kmeans(wh, 6, seed=3)
    assert torch.equal(first, again)
    area = first.prod(1)
    assert bool((area[1:] >= area[:-1]).all())


def test_many_boxes_go_through_bins_and_lose_next_to_nothing():
    wh = np.random.default_rng(0).lognormal(4, 0.8, (120_000, 2)).astype(np.float32)
    binned = mean_best_iou(wh, kmeans(wh, 4, restarts=4))
    exact = mean_best_iou(wh, kmeans(wh[:60_000], 4, restarts=4))
    assert abs(binned - exact) < 0.01


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_always_k_positive_finite_shapes_no_worse_than_one_box(wh, k):
    shapes = kmeans(wh, k, restarts=2)
    assert shapes.shape == (k, 2)
    assert bool((torch.isfinite(shapes) & (shapes > 0)).all())
    if k >= len(wh):
        assert mean_best_iou(wh, shapes) == pytest.approx(1.0, abs=1e-5)
