"""Boxes as the network sees them, against the transform that moves the pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.data.seen import as_seen
from kedge.data.transforms import Fit, as_boxes

SIDE = st.integers(1, 3000)


def shown(fit: Fit, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    target = {
        "boxes": as_boxes(torch.from_numpy(boxes), (height, width)),
        "letterbox": torch.tensor([1.0, 1.0, 0.0, 0.0]),
    }
    return fit.target(target, height, width)["boxes"].as_subclass(torch.Tensor).numpy()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=6), SIDE, SIDE, st.booleans())
def test_every_box_lies_where_fit_puts_it(images, high, wide, pad):
    """Images mixed and repeated, so that runs of equal sizes are met; any canvas."""
    fit = Fit((high, wide), pad=pad)
    sizes = np.repeat(np.array([*images, images[0]]), 2, axis=0)
    random = np.random.default_rng(high)
    boxes = (random.random((len(sizes), 4)) * sizes[:, [1, 0, 1, 0]]).astype(np.float32)
    seen, outer = as_seen(boxes, sizes, fit.placement)
    for box, (height, width), found, size in zip(boxes, sizes.tolist(), seen, outer):
        np.testing.assert_allclose(
            found, shown(fit, box[None], height, width)[0], rtol=1e-5, atol=1e-3
        )
        assert tuple(size) == fit.placement(height, width).outer


def test_by_hand_and_without_boxes():
    # 100 high, 200 wide into 100 x 100: half the size, 25 px of padding above and below
    seen, size = as_seen(
        [(0, 0, 200, 100), (20, 40, 40, 60)], [(100, 200)] * 2, Fit((100, 100)).placement
    )
    assert seen.tolist() == [[0, 25, 100, 75], [10, 45, 20, 55]]
    assert size.tolist() == [[100, 100]] * 2
    none, size = as_seen(np.empty((0, 4)), np.empty((0, 2)), Fit((8, 8)).placement)
    assert (none.shape, size.shape) == ((0, 4), (0, 2))


@pytest.mark.parametrize("wrong", [(0, 5), (5, 0.2), (float("nan"), 5), (5, float("inf")), (-3, 5)])
def test_a_size_that_is_none_spoils_its_own_boxes_only(wrong):
    seen, _ = as_seen([(0, 0, 4, 4)] * 3, [(8, 8), wrong, (8, 8)], Fit((16, 16)).placement)
    assert np.isnan(seen[1]).all()
    assert seen[[0, 2]].tolist() == [[0, 0, 8, 8]] * 2
