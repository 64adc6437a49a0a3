"""Placed recall: the closed form against all anchors of the grid, and the levels it leads to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.design import Points, assign_levels, fit, floors
from kedge.design.exchange import exchange
from kedge.design.levels import service
from kedge.design.objectives import best_shape, value
from kedge.design.placed import Placed, scatter


def boxes_to_points(xyxy: torch.Tensor) -> Points:
    return Points.of(xyxy[:, 2:] - xyxy[:, :2], centres=(xyxy[:, :2] + xyxy[:, 2:]) / 2)


def test_by_hand():
    # stride 16, centres at 8, 24, ...; a 16 x 16 object centred at 12, 8 overlaps 12 of 16 columns
    points = boxes_to_points(torch.tensor([[4.0, 0.0, 20.0, 16.0]]))
    placed = Placed(floors=floors([16], (32, 32)), level=torch.tensor([0]))
    found = placed.similarity(points, torch.tensor(16.0), torch.tensor(16.0), 0)
    assert found.item() == pytest.approx(12 * 16 / (2 * 256 - 12 * 16))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(20, 150),
    width=st.integers(20, 150),
    offset=st.sampled_from([0.0, 0.3, 0.5]),
)
def test_equals_the_best_of_all_anchors(seed, height, width, offset):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(6, 2, generator=generator) * torch.tensor([width, height]) * 1.1 - 5
    xyxy = torch.cat([corner, corner + 1 + torch.rand(6, 2, generator=generator) * 90], 1)
    shapes = torch.rand(4, 2, generator=generator) * 60 + 2
    strides, level = (8, 16, 32), torch.tensor([0, 1, 1, 2])
    placed = Placed(floors=floors(strides, (height, width), offset), level=level)
    best, _ = best_shape(placed, boxes_to_points(xyxy), shapes[None])
    grid = Grid(
        image_size=(height, width),
        levels=[
            Level(stride=s, shapes=shapes[level == i], offset=offset) for i, s in enumerate(strides)
        ],
    )
    dense = box_iou(xyxy, grid.boxes()).max(1).values
    torch.testing.assert_close(best[0], dense, atol=2e-5, rtol=1e-4)


def test_value_is_the_share_at_the_threshold():
    points = boxes_to_points(torch.tensor([[0.0, 0, 16, 16], [0, 0, 64, 64]]))
    placed = Placed(floors=floors([16], (64, 64)), level=torch.tensor([0]))
    score = value(placed, points, torch.tensor([[[16.0, 16.0]]])).item()
    assert score == pytest.approx(0.5 + 0.001 * (1 + 1 / 16) / 2, abs=1e-6)


def test_centres_are_required():
    placed = Placed(floors=floors([16], (64, 64)), level=torch.tensor([0]))
    with pytest.raises(ValueError, match="centres"):
        best_shape(placed, Points.of([(3, 4)]), torch.tensor([[[16.0, 16.0]]]))


def test_floors_are_checked_and_rounded_up():
    assert [(f.rows, f.columns) for f in floors([8, 32], (100, 60))] == [(13, 8), (4, 2)]
    with pytest.raises(ValueError, match="strides"):
        floors([], (64, 64))
    with pytest.raises(ValueError, match="image_size"):
        floors([8], (0, 64))


def test_scatter_keeps_boxes_inside_and_the_weight():
    points = Points.of([(10, 20), (30, 300)], weight=[2, 1])
    spread = scatter(points, (100, 200), copies=50)
    assert float(spread.weight.sum()) == pytest.approx(3)
    small = spread[spread.h == 20]
    assert bool((small.cx >= 5).all() and (small.cx <= 195).all())
    assert small.cx.std() > 40  # spread over the image
    assert bool((spread[spread.h == 300].cy == 50).all())  # taller than the image: in its middle


def test_scattered_recall_is_that_of_random_places():
    generator = torch.Generator().manual_seed(0)
    wh = torch.rand(200, 2, generator=generator) * 20 + 10
    placed = Placed(floors=floors([16], (320, 320)), level=torch.tensor([0]))
    shapes = torch.tensor([[[20.0, 20.0]]])
    even = value(placed, scatter(Points.of(wh), (320, 320), 40), shapes)
    many = wh.repeat(200, 1)
    centres = many / 2 + torch.rand(len(many), 2, generator=generator) * (320 - many)
    random = value(placed, Points.of(many, centres=centres), shapes)
    assert even.item() == pytest.approx(random.item(), abs=0.01)


def test_a_small_shape_goes_to_the_fine_level_and_a_large_one_to_the_coarse():
    generator = torch.Generator().manual_seed(0)
    wh = torch.tensor([[12.0, 12.0], [200.0, 200.0]]).repeat(300, 1)
    centres = wh / 2 + torch.rand(600, 2, generator=generator) * (640 - wh)
    points = Points.of(wh, centres=centres)
    shapes, ground = torch.tensor([[12.0, 12.0], [200.0, 200.0]]), floors((8, 32), (640, 640))
    assert assign_levels(points, shapes, ground).tolist() == [0, 1]
    worth = service(points, shapes, ground)
    assert worth[0, 0] > worth[0, 1] + 0.1
    assert worth[1, 1] == pytest.approx(worth[1, 0].item(), abs=0.01)


def test_counts_per_level_are_kept_and_the_total_is_best():
    generator = torch.Generator().manual_seed(1)
    wh = torch.rand(400, 2, generator=generator) * 100 + 8
    points = Points.of(wh, centres=torch.rand(400, 2, generator=generator) * 300)
    shapes = torch.rand(4, 2, generator=generator) * 80 + 10
    ground = floors((8, 16, 32), (320, 320))
    chosen = assign_levels(points, shapes, ground, per_level=(1, 1, 2))
    assert torch.bincount(chosen, minlength=3).tolist() == [1, 1, 2]
    worth = service(points, shapes, ground)
    every = [
        (a, b, c, d)
        for a in range(3)
        for b in range(3)
        for c in range(3)
        for d in range(3)
        if sorted((a, b, c, d)) == [0, 1, 2, 2]
    ]
    best = max(sum(float(worth[i, lv]) for i, lv in enumerate(x)) for x in every)
    total = sum(float(worth[i, lv]) for i, lv in enumerate(chosen.tolist()))
    assert total == pytest.approx(best)
    with pytest.raises(ValueError, match="per_level"):
        assign_levels(points, shapes, ground, per_level=(1, 1, 1))


def scattered(wh: torch.Tensor, side: int = 640, seed: int = 0) -> Points:
    generator = torch.Generator().manual_seed(seed)
    return Points.of(wh, centres=wh / 2 + torch.rand(len(wh), 2, generator=generator) * (side - wh))


def test_a_tiny_shape_leaves_the_coarse_level_where_it_does_not_serve():
    points = scattered(torch.tensor([[12.0, 12.0], [200.0, 200.0]]).repeat(300, 1))
    placed = Placed(floors=floors((8, 32), (640, 640)), level=torch.tensor([0, 1]))
    tangled = torch.tensor([[200.0, 200.0], [12.0, 12.0]])
    order = exchange(placed, points, tangled)
    assert order.tolist() == [1, 0]
    before, after = value(placed, points, torch.stack([tangled, tangled[order]]))
    assert after > before + 0.2
    assert exchange(placed, points, tangled[order]).tolist() == [0, 1]  # and stays there


def test_where_both_levels_serve_the_smaller_shape_takes_the_finer_one():
    points = scattered(torch.tensor([[150.0, 160.0], [240.0, 200.0], [300.0, 300.0]]).repeat(99, 1))
    placed = Placed(floors=floors((8, 16), (640, 640)), level=torch.tensor([0, 1, 1]))
    tangled = torch.tensor([[300.0, 300.0], [240.0, 200.0], [150.0, 160.0]])
    assert value(placed, points, tangled[None]).item() > 1  # every object served
    assert exchange(placed, points, tangled).tolist()[0] == 2


def test_a_small_shape_stays_on_a_coarse_level_where_that_helps():
    # small objects stand at the centres of the coarse cells, the corners of the fine ones
    corner = torch.cartesian_prod(torch.arange(40), torch.arange(40)) * 16.0
    points = boxes_to_points(torch.cat([corner, corner + 16], 1))
    placed = Placed(floors=floors((16, 32), (640, 640), 0.5), level=torch.tensor([0, 1]))
    small, large = torch.tensor([16.0, 16.0]), torch.tensor([200.0, 200.0])
    assert exchange(placed, points, torch.stack([large, small])).tolist() == [1, 0]
    off = boxes_to_points(torch.cat([corner + 8, corner + 24], 1))
    even = placed.on(torch.tensor([0, 1]))
    assert exchange(even, off, torch.stack([large, small])).tolist() == [0, 1]


def test_designed_levels_are_in_order_where_that_costs_nothing():
    random = torch.Generator().manual_seed(2)
    wh = 90 + 200 * torch.rand(400, 2, generator=random)
    found = fit(wh, 6, "placed", image_size=640, strides=(8, 16), restarts=8)
    assert found.levels is not None
    fine, coarse = ([w * h for w, h in level.shapes] for level in found.levels)
    assert found.placed_recall == 1
    assert max(fine) <= min(coarse)


def test_the_grid_is_not_for_the_caller_to_lay_out():
    placed = Placed(floors=floors((8,), (64, 64)), level=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="say 'placed', with threshold="):
        fit([(10.0, 10.0), (20.0, 20.0)], 1, placed)


def test_shapes_designed_for_size_take_levels_by_service_or_in_order():
    """Small objects only, most of them 20 px wide: on stride 32 few of them meet an anchor."""
    random = torch.Generator().manual_seed(3)
    wh = 20 * torch.exp(0.5 * torch.randn(800, 2, generator=random))
    words = {"image_size": 640, "strides": (8, 32), "per_level": (2, 2), "restarts": 8}
    ordered = fit(wh, 4, in_order=True, **words)
    assert ordered.placed is not None
    assert ordered.placed.level.tolist() == [0, 0, 1, 1]
    turned = fit(wh, 4, in_order=True, **words | {"strides": (32, 8), "per_level": (1, 3)})
    assert turned.placed is not None
    assert turned.placed.level.tolist() == [1, 1, 1, 0]  # small shapes on the stride of 8 still
    served = fit(wh, 4, **words)
    torch.testing.assert_close(ordered.shapes, served.shapes)
    assert served.placed is not None
    assert served.placed.level.bincount().tolist() == [2, 2]
    assert served.placed_recall >= ordered.placed_recall
