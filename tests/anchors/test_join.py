"""The join of boxes that lie anywhere, against the dense matrix: all sizes, places, thresholds."""

import random

import pytest
import torch
from torch import Tensor

from kedge.anchors.queries import join
from kedge.anchors.queries.join import blocks, overlapping_boxes, points_in_windows, spread
from kedge.boxes import iou

WILD = (float("nan"), float("inf"), -float("inf"), 1e30, 3e38)


def boxes(count: int, pick: random.Random, rng: torch.Generator, wild: bool) -> Tensor:
    """Boxes of one to twelve decades of sizes; where ``wild``, some with a side that no box has."""
    low, high = pick.choice([(-1, 2), (0, 3), (-3, 6), (-3, 12) if wild else (0, 3)])
    side = 10 ** (low + (high - low) * torch.rand(count, 2, generator=rng))
    centre = torch.randn(count, 2, generator=rng) * 10 ** pick.choice([0, 2, 3, 6 if wild else 2])
    out = torch.cat([centre - side / 2, centre + side / 2], dim=1)
    if wild and pick.random() < 0.5:
        out[torch.randint(count, (count // 10 + 1,), generator=rng), pick.randrange(4)] = (
            pick.choice(WILD)
        )
    return torch.cat([out[:, :2], torch.maximum(out[:, :2], out[:, 2:])], dim=1)


@pytest.mark.parametrize("seed", range(60))
def test_finds_what_the_dense_matrix_has(seed, monkeypatch):
    pick, rng = random.Random(seed), torch.Generator().manual_seed(seed)
    monkeypatch.setattr(join, "BLOCK", pick.choice([1, 50, 1 << 15]))
    images, dtype = pick.choice([1, 2, 5]), pick.choice([torch.float16, *[torch.float32] * 4])
    a = boxes(pick.choice([1, 17, 60]), pick, rng, wild=False)
    b = boxes(pick.choice([5, 50, 400]), pick, rng, wild=True)
    near = min(len(a), len(b)) // 2
    b[:near] = a[:near] + torch.rand(near, 1, generator=rng)  # some that overlap much
    a = a.to(dtype)
    a = a[torch.isfinite(a).all(1)]
    a_image, b_image = (torch.randint(images, (len(x),), generator=rng) for x in (a, b))
    least: float | Tensor = pick.choice([0.0, 1e-7, 0.1, 0.5, 0.9, 1.0, -1.0])
    if least == -1:  # one for each, of which some ask for more than there is
        least = torch.rand(len(a), generator=rng)
        least[::5] = torch.inf
    found = list(overlapping_boxes(a, a_image, b, b_image, images, least))
    value = iou(a[:, None], b[None])
    floor = least[:, None] if isinstance(least, Tensor) else least
    wanted = (value >= floor) & (value > 0) & (a_image[:, None] == b_image[None])
    wanted &= torch.isfinite(b).all(1)
    got = torch.zeros_like(wanted)
    for i, j, shown in found:
        assert not got[i, j].any()  # each once
        got[i, j] = True
        assert torch.equal(shown, value[i, j])
    finite = torch.isfinite(b).all(1)
    assert torch.equal(got[:, finite], wanted[:, finite])


def test_a_slender_box_far_from_the_centre_of_what_it_overlaps():
    """3.8e-8 of both: farther than a million of its widths from the other's centre."""
    a = torch.tensor([[-697.291, -233402.5, -697.289, 231047.3]])
    b = torch.tensor([[-64715.5, 1187.6, 64962.8, 1352.4]])
    none = torch.zeros(1, dtype=torch.int64)
    ((target, _, _),) = overlapping_boxes(a, none, b, none, 1, 0.0)
    assert target.tolist() == [0]


def test_nothing_lies_in_nothing():
    none, group = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    point, one = torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64)
    assert list(points_in_windows(point, one, none, group, 1)) == []
    assert list(points_in_windows(none[:, :2], group, torch.zeros(1, 4), one, 1)) == []
    upside_down = torch.tensor([[1.0, 1, -1, -1]])
    found = points_in_windows(point, one, upside_down, one, 1)
    assert [len(window) for window, _ in found] == [0]


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_blocks_are_all_rows_once_and_say_what_they_sum_to(limit, monkeypatch):
    monkeypatch.setattr(join, "BLOCK", limit)
    weight = torch.tensor([0, 3, 9, 0, 0, 2, 1, 8, 0])
    rows = []
    for part, items in blocks(weight):
        rows += range(len(weight))[part]
        assert items == int(weight[part].sum())
        assert len(spread(weight[part], items)[0]) == items
    assert rows == list(range(len(weight)))
    assert [items for _, items in blocks(weight[:0])] == [0]
