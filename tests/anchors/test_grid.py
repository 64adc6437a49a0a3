"""Grid: anchors as numbers, boxes on demand."""

import pytest
import torch
from anchors.scenes import grids
from hypothesis import given, settings
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from kedge import Grid, Level

FEW = settings(max_examples=60, deadline=None)


def two_levels() -> Grid:
    return Grid(
        (20, 30),
        [
            Level(stride=10, shapes=[(10, 10), (20, 5)]),
            Level(stride=(20, 15), shapes=[(30, 40)], offset=0.0),
        ],
    )


def test_layout_by_hand():
    grid = two_levels()
    assert grid.sizes == ((2, 3), (1, 2))
    assert grid.anchors_per_level == (12, 2)
    assert len(grid) == 14
    assert (grid.num_levels, grid.num_shapes, grid.shapes_per_level) == (2, 3, (2, 1))
    # level, then y, then x, then shape
    assert grid.boxes(torch.tensor([0, 1, 2, 6, 12, 13])).tolist() == [
        [0, 0, 10, 10],
        [-5, 2.5, 15, 7.5],
        [10, 0, 20, 10],
        [0, 10, 10, 20],
        [-15, -20, 15, 20],
        [0, -20, 30, 20],
    ]
    assert grid.points(torch.tensor([7, 13])).tolist() == [[5, 15], [15, 0]]
    assert grid.stride(torch.tensor([7, 13])).tolist() == [[10, 10], [15, 20]]
    assert grid.level(torch.tensor([11, 12])).tolist() == [0, 1]
    place = grid.place(torch.tensor([11, 13]))
    assert [part.tolist() for part in place] == [[0, 1], [1, 0], [2, 1], [1, 0]]


def test_a_flat_id_is_image_times_n_plus_index():
    grid = two_levels()
    assert grid.local(torch.tensor([3, 14, 14 * 5 + 13])).tolist() == [3, 0, 13]


def test_an_image_that_the_stride_does_not_divide_gets_one_more_cell():
    assert Grid((21, 30), [Level(stride=10)]).sizes == ((3, 3),)
    assert Grid((21, 30), [Level(stride=10, size=(2, 4))]).sizes == ((2, 4),)


def test_points_are_boxes_of_the_strides_size():
    grid = Grid((20, 30), [Level(stride=(10, 15))])
    assert grid.boxes().tolist()[0] == [0, 0, 15, 10]
    assert grid.points().tolist() == [[7.5, 5], [22.5, 5], [7.5, 15], [22.5, 15]]


@FEW
@given(grids())
def test_index_and_place_are_inverse(grid):
    index = torch.arange(len(grid))
    row, y, x = grid.row_and_cell(index)
    assert torch.equal(grid.index(row, y, x), index)
    place = grid.place(index)
    order = torch.stack([place.level, place.y, place.x, place.shape])
    assert sorted(order.t().tolist()) == order.t().tolist()  # level, y, x, shape
    assert len(set(map(tuple, order.t().tolist()))) == len(grid)
    assert torch.equal(grid.level(), place.level)
    for level, (rows, columns), per in zip(range(9), grid.sizes, grid.shapes_per_level):
        own = place.level == level
        assert int(own.sum()) == grid.anchors_per_level[level] == rows * columns * per
        assert int(place.y[own].max()) == rows - 1
        assert int(place.x[own].max()) == columns - 1
        assert int(place.shape[own].max()) == per - 1


@FEW
@given(grids())
def test_boxes_stand_on_their_points_with_their_shape(grid):
    boxes, points = grid.boxes(), grid.points()
    assert torch.allclose((boxes[:, :2] + boxes[:, 2:]) / 2, points, atol=1e-4)
    row = grid.row_and_cell(torch.arange(len(grid)))[0]
    assert torch.allclose(boxes[:, 2:] - boxes[:, :2], grid.shapes[row], atol=1e-4)
    some = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))[:7]
    assert torch.equal(grid.boxes(some), boxes[some])
    assert torch.equal(grid.points(some), points[some])


def test_the_same_boxes_as_torchvision_with_offset_zero():
    sizes = ((32,), (64,), (128,))
    ratios = ((0.5, 1.0, 2.0),) * 3
    generator = AnchorGenerator(sizes, ratios)
    images = ImageList(torch.zeros(1, 3, 192, 320), [(192, 320)])
    maps = [torch.zeros(1, 1, 192 // s, 320 // s) for s in (8, 16, 32)]
    (want,) = generator(images, maps)
    levels = []
    for base, stride in zip(generator.cell_anchors, (8, 16, 32)):
        shapes = (
            base[:, 2:] - base[:, :2]
        )  # torchvision rounds the base boxes; take them as they are
        levels.append(Level(stride=stride, shapes=shapes, offset=0.0))
    assert torch.equal(Grid((192, 320), levels).boxes(), want)


def test_boxes_are_differentiable_in_the_shapes():
    shapes = torch.tensor([[10.0, 12.0], [20.0, 5.0], [30.0, 40.0]], dtype=torch.float64)
    grid = two_levels().with_shapes(shapes)
    index = torch.tensor([0, 1, 2, 13])

    def boxes(s):
        return grid.with_shapes(s).boxes(index)

    assert torch.autograd.gradcheck(boxes, shapes.clone().requires_grad_())


def test_shapes_given_as_tensors_stay_in_the_graph():
    shapes = torch.tensor([[10.0, 12.0]], requires_grad=True)
    grid = Grid((20, 30), [Level(stride=10, shapes=shapes)])
    grid.boxes()[:, 2].sum().backward()
    assert shapes.grad.tolist() == [[3, 0]]  # six anchors, half of a width each
    assert not grid.detach().boxes().requires_grad


def test_with_shapes_keeps_the_cells_and_does_not_change_the_original():
    grid = two_levels()
    other = grid.with_shapes(torch.tensor([[1.0, 1], [2, 2], [3, 3]], dtype=torch.float64))
    assert len(other) == len(grid)
    assert other.boxes().dtype == torch.float64
    assert torch.equal(grid.points().double(), other.points())
    assert grid.shapes.tolist() == [[10, 10], [20, 5], [30, 40]]


def test_repr_prints_width_times_height():
    assert "20 x 5" in repr(two_levels())
    assert "14 anchors" in repr(two_levels())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_answers_are_on_the_device_of_the_shapes(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    grid = two_levels().to(device)
    assert grid.device.type == device
    for value in (grid.boxes(), grid.points(), grid.stride(), grid.level()):
        assert value.device.type == device


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Level(stride=0), "stride must be positive"),
        (lambda: Level(stride=(8, -1)), "stride must be positive"),
        (lambda: Level(stride=8, shapes=[]), "one or more"),
        (lambda: Level(stride=8, shapes=[(3, 4, 5)]), "one or more"),
        (lambda: Level(stride=8, shapes=[(3, 0)]), "positive and finite"),
        (lambda: Level(stride=8, shapes=[(3, float("nan"))]), "positive and finite"),
        (lambda: Grid((20, 30), []), "at least one Level"),
        (lambda: Grid((0, 30), [Level(stride=8)]), "image_size"),
        (lambda: two_levels().with_shapes(torch.ones(2, 2)), "has 3 shapes"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_a_grid_keeps_from_inference_serves_training():
    """A validation in inference mode comes before a step that learns the shapes."""
    grid = Grid((64, 96), [Level(stride=8, shapes=[(8, 8), (16, 20)])])
    with torch.inference_mode():
        seen = grid.boxes()
    shapes = torch.nn.Parameter(grid.shapes.clone())
    learned = grid.with_shapes(shapes)
    assert torch.equal(learned.boxes(), seen)
    learned.boxes().sum().backward()
    sides = torch.nn.Parameter(grid.shapes.clone())
    Grid((64, 96), grid.levels).with_shapes(sides).boxes().square().sum().backward()
    shapes.grad = None
    learned.boxes().square().sum().backward()
    assert torch.equal(shapes.grad, sides.grad)
